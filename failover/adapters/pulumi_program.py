"""Where the Pulumi command line is: named by hand, noted by the set-up, or on PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from failover.errors import UsageError


def locate_pulumi(root: Path) -> Path:
    """``FAILOVER_PULUMI``, else what ``script/bootstrap`` noted in ``.venv/pulumi-path``, else PATH.

    Raises ``UsageError`` when there is none, or when the one named by hand cannot be run.
    """
    if named := os.environ.get("FAILOVER_PULUMI"):
        if not os.access(named, os.X_OK):
            raise UsageError(f"FAILOVER_PULUMI names {named}, which cannot be run", hint="unset FAILOVER_PULUMI")
        return Path(named)
    try:
        noted = (root / ".venv" / "pulumi-path").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        noted = ""
    if noted and os.access(noted, os.X_OK):
        return Path(noted)
    if found := shutil.which("pulumi"):
        return Path(found)
    raise UsageError("the Pulumi command line is not on this machine", hint="script/bootstrap")
