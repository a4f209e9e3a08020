"""``up`` or ``destroy`` of a site in a process of its own, so that a test can kill the one who asked.

``python -m tests.infra.pulumi.asker STATE BLOCK OPERATION SITE``
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.infra.pulumi.fleets import StackFleet


def main() -> None:
    """Do it; a failure is this process's own."""
    state, block, operation, site = sys.argv[1:]
    fleet = StackFleet(Path(state).parent, block, state=Path(state))
    if operation == "up":
        fleet.up(site)
    else:
        fleet.destroy(site)


if __name__ == "__main__":
    main()
