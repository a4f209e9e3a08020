"""What the state may not know of: a plug-in killed in the middle of a create leaves no record anywhere. Names are
deterministic, so it is looked up and removed by name. Never here: removal of anything the stack could not have made."""

from __future__ import annotations

from pathlib import Path

from infra.local.plugin import account, host
from stacks.failures import StackFailure


def remove(config: dict[str, str]) -> int:
    """Remove the site's host when it is there although the stack is empty; how many went."""
    if config["kind"] != "local":
        return 0
    host_dir = Path(config["hostDir"])
    try:
        account.require_open(host_dir, "delete of what no state knows")
        return int(host.remove(host_dir, fleet=config["fleet"], site=config["site"]))
    except (account.Suspended, host.HostProblem) as problem:
        raise StackFailure("unreachable", str(problem)) from problem
