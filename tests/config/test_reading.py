"""What cannot be read as a fleet file at all, and what the callers of ``load_fleet`` get."""

from __future__ import annotations

from pathlib import Path

import pytest

from failover.config.fleet import FleetFileError, check_fleet, load_fleet
from failover.config.local import local_fleet_text
from failover.config.source import MOST_BYTES
from failover.errors import ConfigError, Exit
from failover.model.finding import Severity
from tests.config.examples import HERE


def codes(path: Path) -> list[str]:
    fleet, findings = check_fleet(path)
    assert fleet is None
    return [finding.code for finding in findings]


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    fleet, (finding,) = check_fleet(tmp_path / "fleet.yaml")
    assert fleet is None
    assert finding.code == "unreadable"
    assert finding.place is None
    assert "failover init --local" in finding.hint


def test_a_folder_is_no_fleet_file(tmp_path: Path) -> None:
    assert codes(tmp_path) == ["unreadable"]


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading it whole would not end
    assert codes(path) == ["too-big"]


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    text = local_fleet_text().encode()
    path.write_bytes(text + b"#" * (MOST_BYTES - len(text)))
    assert load_fleet(path).name == "demo"


def test_very_many_values_are_refused_quickly(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("fleet: [" + "1," * 100_000 + "]")
    assert codes(path) == ["too-deep"]


def test_load_fleet_carries_all_findings() -> None:
    path = HERE / "broken" / "many-problems.yaml"
    with pytest.raises(FleetFileError) as caught:
        load_fleet(path)
    error = caught.value
    assert isinstance(error, ConfigError)
    assert error.exit_status is Exit.USAGE
    assert error.code == "config"
    assert error.findings == check_fleet(path)[1]
    errors = [finding for finding in error.findings if finding.severity is Severity.ERROR]
    assert f"{len(errors)} errors" in error.message
    assert error.where == str(errors[0].place)
    assert "failover validate" in error.hint


def test_findings_name_the_file_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "my fleet.yaml"
    path.write_text("fleet: demo\n")
    places = {finding.place.file for finding in check_fleet(path)[1] if finding.place is not None}
    assert places == {str(path)}


def test_a_site_finding_names_its_site() -> None:
    _, findings = check_fleet(HERE / "broken" / "bad-address-name.yaml")
    assert [finding.site for finding in findings] == ["beta"]


def test_warnings_do_not_keep_a_fleet_from_loading() -> None:
    assert load_fleet(HERE / "valid" / "warn-dns-one.yaml").name == "demo"
