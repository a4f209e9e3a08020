"""``script/bench NAME [--runs N] [--alone]``: one benchmark. ``--alone`` leaves the contender out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.bench import broken_laws, campaign, crashpoints, explore, faults, moves, plain, times

BENCHES: dict[str, tuple[Callable[..., int], int]] = {
    "switchover": (moves.switchover, 30),
    "crash": (moves.crash, 20),
    "broken-laws": (broken_laws.broken_laws, 1000),
    "campaign": (campaign.campaign, 200),
    "crashpoints": (crashpoints.crashpoints, crashpoints.ALL),
    "freeze": (faults.freeze, 10),
    "standby": (faults.standby, 5),
    "partition": (faults.partition, 5),
    "slow": (faults.slow, 5),
    "g3": (plain.g3, 10),
    "explore": (explore.explore_wide, 5_000_000),
    "fleet": (times.fleet_times, 3),
    "startup": (times.startup, 15),
    "deploy-kills": (times.deploy_kills, 20),
}


def main() -> int:
    """Run it; exit 0 held, 4 missed."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHES))
    parser.add_argument("--runs", type=int, help="instead of the full count")
    parser.add_argument("--alone", action="store_true", help="without the contender")
    asked = parser.parse_args()
    bench, runs = BENCHES[asked.name]
    return bench(asked.runs or runs, contest=not asked.alone)


if __name__ == "__main__":
    sys.exit(main())
