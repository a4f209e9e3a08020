"""No setting that the keeper writes, or that the planner refuses, passes ``validate``: it would be lost in silence."""

from __future__ import annotations

import re

from failover.adapters.postgres_config import server_config
from failover.config.app import KEEPER_SETTINGS
from failover.config.fleet import check_fleet_bytes
from failover.config.local import local_fleet_text
from failover.model.spec import DatabaseSpec
from failover.planner.hostspec import KEEPER_OWNED


def refused(*names: str) -> set[str]:
    """Those of ``names`` that a fleet file may not set."""
    lines = "".join(f"    {name}: x\n" for name in names)
    text = local_fleet_text().replace("  settings: {}\n", f"  settings:\n{lines}")
    _, findings = check_fleet_bytes(text.encode(), "fleet.yaml")
    wrong = [finding for finding in findings if finding.code == "keeper-setting"]
    assert wrong == list(findings)
    return {finding.message.split(":")[0].removeprefix("app.settings.") for finding in wrong}


def test_what_the_keeper_writes_is_refused() -> None:
    spec = DatabaseSpec(port=5432, database="app", app_password="", replication_password="", keeper_password="")
    text = server_config(
        spec, address="127.0.0.1", names=(), upstream=None, member="a_00000000", passfile="pass", timeline="latest"
    )
    written = set(re.findall(r"^(\w+) = ", text, re.MULTILINE))
    assert "synchronous_commit" in written
    assert refused(*sorted(written)) == written


def test_what_the_planner_refuses_is_refused_here_first() -> None:
    assert refused(*sorted(KEEPER_OWNED)) == KEEPER_OWNED


def test_case_does_not_matter_to_postgresql_nor_here() -> None:
    assert refused("FSYNC", "Archive_Mode") == {"FSYNC", "Archive_Mode"}


def test_other_settings_pass_as_written() -> None:
    assert refused("shared_buffers", "max_connections", "auto_explain.log_min_duration") == set()


def test_the_list_is_sorted_and_lower_case() -> None:
    assert list(KEEPER_SETTINGS) == sorted({name.lower() for name in KEEPER_SETTINGS})
