"""Links between providers cut in every shape and slowed, on a fleet whose sites have networks of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.harness import LocalFleet
from tests.e2e.test_drills import other, sound

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

# whom the cut leaves alone, and how
SHAPES = [
    ("primary", ()),
    ("witness", ()),
    ("standby", ()),
    ("primary", ("--way", "out")),
    ("primary", ("--way", "in")),
    ("primary", ("--only", "standby")),
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("alone", "words"), SHAPES)
def test_a_cut_loses_nothing_and_heals_by_itself(
    isolated: LocalFleet, alone: str, words: tuple[str, ...]
) -> None:
    primary = isolated.wait_protected()["record"]["primary"].split("_")[0]
    sites = {"primary": primary, "standby": other(primary), "witness": "gamma"}
    named = tuple(sites.get(word, word) for word in words)
    report = isolated.drill("partition", sites[alone], seconds=12.0, more=named)
    sound(report)
    assert report["reprotected_s"] is not None, report["remarks"]
    old = report["old_side"]
    assert old["asked"] > 500
    assert (old["stale_reads"], old["writes_alone"]) == (0, 0), old["log"]
    if alone == "primary" and not words:
        assert report["primary"]["after"] == other(primary)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rtt", ["40ms", "80ms"])
def test_a_move_over_slow_links_shows_no_error(isolated: LocalFleet, rtt: str) -> None:
    primary = isolated.wait_protected()["record"]["primary"].split("_")[0]
    report = isolated.drill("slow", other(primary), rate=60, seconds=12.0, more=("--rtt", rtt))
    sound(report)
    assert report["load"]["first_attempt_failed"] == 0
    assert report["primary"]["after"] == other(primary)


def test_links_of_sites_on_loopback_are_not_cut(empty_fleet: LocalFleet, tmp_path: Path) -> None:
    empty_fleet.deploy()
    refused = empty_fleet.run("drill", "partition", "alpha", status=3)
    assert "share this machine's network" in refused.err
    empty_fleet.run("destroy", "--yes")
