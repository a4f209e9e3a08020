"""Every broken file is reported as written beside it, every valid one gives a fleet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from failover.model.finding import Severity
from failover.render.findings import findings_text
from tests.config.examples import BROKEN, HERE, VALID, check

# Stable: programs and people look for them.
# fmt: off
CODES = [
    "address-taken", "bad-address", "bad-character", "bad-choice", "bad-endpoint", "bad-name", "bad-recipient",
    "bad-value", "data-one-provider", "data-sites-few", "dns-name", "dns-one-provider", "dns-ttl", "duplicate-key",
    "empty-file", "gate-class", "health-paths", "hook-alone", "keeper-setting", "media-window", "missing-key",
    "missing-unit", "no-web-service", "no-witness", "not-built", "not-loopback", "not-utf8", "out-of-range",
    "path-twice", "port-taken", "preferred-witness", "recipients-few", "record-sqlite", "reserved-name",
    "secret-in-command", "secret-in-file", "store-endpoint", "store-home", "store-kind", "store-twice", "stores-few",
    "stores-share", "timing-nervous", "timing-order", "too-deep", "unknown-key", "unknown-placeholder",
    "unknown-program", "unknown-site", "voters-even", "voters-few", "voters-majority", "voters-share", "voters-sqlite",
    "witness-provider", "worker-not-held", "wrong-type", "yaml-anchor", "yaml-documents", "yaml-key", "yaml-merge",
    "yaml-syntax", "yaml-tab", "yaml-tag",
]
# fmt: on


@pytest.mark.parametrize("file", [*BROKEN, *VALID], ids=lambda file: file.stem)
def test_report_is_the_expected_one(file: Path) -> None:
    report = findings_text(check(file)[1])
    expected = file.with_suffix(".expected")
    if os.environ.get("FAILOVER_WRITE_EXPECTED"):
        expected.write_text(report, encoding="utf-8")
    assert report == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_broken_file_gives_no_fleet(file: Path) -> None:
    fleet, findings = check(file)
    assert fleet is None
    assert any(finding.severity is Severity.ERROR for finding in findings)
    assert all(finding.hint for finding in findings), "every finding says what to write"


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_valid_file_gives_a_fleet(file: Path) -> None:
    fleet, findings = check(file)
    assert fleet is not None
    assert not [finding for finding in findings if finding.severity is Severity.ERROR]
    assert bool(findings) == file.stem.startswith("warn-")


def test_there_are_enough_of_them_and_none_is_left_over() -> None:
    assert len(BROKEN) >= 60
    reports = {file.with_suffix(".expected") for file in [*BROKEN, *VALID]}
    assert set(HERE.glob("*/*.expected")) == reports


def test_codes_are_stable_and_each_has_an_example() -> None:
    seen = {finding.code for file in [*BROKEN, *VALID] for finding in check(file)[1]}
    assert sorted(seen) == CODES


def test_one_run_reports_every_problem() -> None:
    (file,) = (file for file in BROKEN if file.stem == "many-problems")
    codes = {finding.code for finding in check(file)[1]}
    assert {"unknown-key", "duplicate-key", "wrong-type", "missing-unit", "missing-key", "bad-address"} <= codes
    assert len(check(file)[1]) >= 25
