"""How an operation's answer is shown, and which exit status it has. No decision about the fleet is made here."""

from __future__ import annotations

from failover.cli.options import Options
from failover.errors import Exit, UsageError
from failover.model.plan import Plan, Refusal
from failover.model.run_report import RunReport
from failover.operations.carry_out import Answer, Approval, Nothing
from failover.render.json import DoneShown, plan_shown, refusal_shown
from failover.render.out import ask, say, say_json, tell
from failover.render.runbook import refusal_runbook, runbook
from failover.render.text import plan_text, refusal_text, run_text

FORMATS = ("text", "markdown", "json")


def show_proposal(proposal: Plan | Refusal, style: str) -> int:
    """``--dry-run``: the plan, or why there is none."""
    if isinstance(proposal, Refusal):
        if style == "json":
            say_json(refusal_shown(proposal))
        else:
            say(refusal_runbook(proposal) if style == "markdown" else refusal_text(proposal))
        return int(Exit.REFUSED)
    if style == "json":
        say_json(plan_shown(proposal))
    else:
        say(runbook(proposal) if style == "markdown" else plan_text(proposal))
    return int(Exit.DONE)


def show_answer(answer: Answer, options: Options) -> int:
    """How it ended."""
    if isinstance(answer, Refusal):
        if options.json:
            say_json(refusal_shown(answer))
        else:
            tell(refusal_text(answer))
        return int(Exit.REFUSED)
    if isinstance(answer, Nothing):
        if options.json:
            say_json(DoneShown(verb=answer.verb, summary="; ".join((f"nothing to do: {answer.summary}", *answer.told))))
        else:
            say("\n".join((f"nothing to do: {answer.summary}", *answer.told)))
        return int(Exit.DONE)
    return show_report(answer, options)


def show_report(report: RunReport, options: Options) -> int:
    """A run that ended; 4 when something it should have brought does not hold."""
    if options.json:
        say_json(report)
    else:
        say(run_text(report))
    return int(Exit.OBJECTIVE_MISSED if report.missed else Exit.DONE)


def approval(options: Options, *, digest: str, yes: bool) -> Approval:
    """From the command line; on a terminal a person is asked."""
    if digest and yes:
        raise UsageError("--yes and --approve say different things", hint="keep --approve DIGEST")
    return Approval(digest=digest, yes=yes, ask=ask_person if options.may_ask else None)


def ask_person(plan: Plan) -> bool:
    """Show the plan and ask. Before a commit step or a hazard the name of the site must be typed: a "y" is typed
    from habit."""
    tell(plan_text(plan))
    commit = next((step for step in plan.steps if step.commit), None)
    if commit is not None:
        return ask(f"type {commit.site} to go on: ") == commit.site
    if plan.hazards:
        word = " ".join(dict.fromkeys(step.site for step in plan.steps))
        return ask(f"type {word} to go on: ") == word
    return ask("carry it out? [y/N] ").lower() in ("y", "yes")
