"""``script/bench NAME [--runs N] [--alone]``: one benchmark. ``--alone`` leaves the contender out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    backup,
    broken_laws,
    campaign,
    crashpoints,
    explore,
    faults,
    media,
    moves,
    network,
    plain,
    slow,
    times,
)

BENCHES: dict[str, tuple[Callable[..., int], int]] = {
    "switchover": (moves.switchover, 30),
    "crash": (moves.crash, 20),
    "broken-laws": (broken_laws.broken_laws, 1000),
    "campaign": (campaign.campaign, 200),
    "crashpoints": (crashpoints.crashpoints, crashpoints.ALL),
    "freeze": (faults.freeze, 10),
    "media": (media.media, 7),
    "standby": (faults.standby, 5),
    "partition": (network.partition, 5),
    "slow": (slow.slow, 5),
    "g3": (plain.g3, 10),
    "backup": (backup.backup, 3),
    "explore": (explore.explore_wide, 5_000_000),
    "fleet": (times.fleet_times, 3),
    "startup": (times.startup, 15),
    "deploy-kills": (times.deploy_kills, 20),
}
_MORE = ("first", "minutes", "lanes", "block", "only", "folder", "go_on")


def main() -> int:
    """Run it; exit 0 held, 4 missed."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHES))
    parser.add_argument("--runs", type=int, help="instead of the full count")
    parser.add_argument("--first", type=int, help="partition: the first seed, to go on after a break")
    parser.add_argument("--minutes", type=float, help="slow: of stalls, instead of 30; 0 leaves them out")
    parser.add_argument("--alone", action="store_true", help="without the contender")
    struck = parser.add_argument_group("crashpoints")
    struck.add_argument("--lanes", type=int, help="fleets side by side")
    struck.add_argument("--block", type=int, help="the first lane's block of addresses; the next is 30 higher")
    struck.add_argument("--only", metavar="TEXT", help="points whose text has it")
    struck.add_argument("--folder", type=Path, help="where the results are")
    struck.add_argument("--continue", dest="go_on", action="store_true", default=None, help="strike what is left")
    asked = parser.parse_args()
    bench, runs = BENCHES[asked.name]
    more = {name: value for name in _MORE if (value := getattr(asked, name)) is not None}
    return bench(runs if asked.runs is None else asked.runs, contest=not asked.alone, **more)


if __name__ == "__main__":
    sys.exit(main())
