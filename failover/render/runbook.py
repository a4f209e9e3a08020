"""A plan as a Markdown runbook: exact commands, a check and a way back for each step, so that a person can follow it
on the day no ``failover`` runs."""

from __future__ import annotations

from failover.model.plan import Plan, Refusal, Step

_HEAD = """\
Follow the steps in order, in one shell, in the folder of the fleet file. After each one run its check and read what it
says before you go on; do not go on by hope. Before the step marked **COMMIT** every step can be taken back, newest
first. After it there is only forward. A line that begins with `#` is for you, not for the shell.
"""


def runbook(plan: Plan) -> str:
    """The whole runbook."""
    lines = [f"# {plan.verb}: {plan.summary}", "", f"Plan `{plan.digest}`.", "", _HEAD]
    if plan.promise:
        lines += [f"Promise: {plan.promise}.", ""]
    if plan.hazards:
        lines += ["## Hazards", "", *(f"- {hazard}" for hazard in plan.hazards), ""]
    if plan.measured:
        lines += ["## Measured when this was written", "", *(f"- {fact}" for fact in plan.measured), ""]
    if plan.empty:
        lines += ["Nothing to do."]
    for number, step in enumerate(plan.steps, start=1):
        lines += _step(number, step)
    return "\n".join(lines).rstrip("\n") + "\n"


def refusal_runbook(refusal: Refusal) -> str:
    """Why there is no runbook."""
    reasons = "".join(f"- {finding.message}. {finding.hint}\n" for finding in refusal.findings)
    return f"# {refusal.verb}: refused\n\n{refusal.summary}.\n\n{reasons}"


def _step(number: int, step: Step) -> list[str]:
    commit = " — **COMMIT**" if step.commit else ""
    may_fail = "" if step.required else " If this fails, note it and go on."
    after = f" After: {', '.join(step.after)}." if step.after else ""
    return [
        f"## {number}. {step.title}{commit}",
        "",
        f"`{step.id}`: {step.why}. Give it {step.timeout_s:g} s.{after}{may_fail}",
        "",
        "Do:",
        "",
        *_block(step.command),
        "Check:",
        "",
        *_block(step.check),
        "Back:",
        "",
        *_block(step.back),
    ]


def _block(text: str) -> list[str]:
    return ["```sh", *(text or "true").splitlines(), "```", ""]

