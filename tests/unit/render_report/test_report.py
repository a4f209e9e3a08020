"""report.json has the fields other programs rely on; report.html says the truth, and needs nothing else."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from failover.model import report as model
from failover.render.report import report_json, write_report
from failover.render.report_page import page
from failover.render.report_words import UNKNOWN, limit, measured, quantity, tiles, verdict
from tests.unit.render_report.synthetic import kill_report, missed_report, series, switchover_report

# The fields of failover/drill/v1 in their order, as the contract lists them.
CONTRACT: dict[str, list[str]] = {
    "": [
        "schema", "id", "kind", "site", "seed", "started_at", "versions", "load", "ledger", "write_pause_ms",
        "recovery_time_s", "detection_s", "exposure", "primary", "epoch", "writable_at_once", "dead_side", "dns",
        "phases", "reprotected_s", "objectives", "held",
    ],
    "load": ["offered_per_s", "requests", "acknowledged", "errors", "retried", "latency_ms"],
    "ledger": ["acknowledged_writes", "lost", "duplicated", "unacknowledged_but_present"],
    "write_pause_ms": ["longest", "p99", "count"],
    "exposure": ["stated_before_bytes", "stated_before_s", "lost_writes"],
    "primary": ["before", "after"],
    "epoch": ["before", "after"],
    "dead_side": ["calls", "log"],
    "dns": ["servers_correct", "servers_alive", "seconds_to_correct"],
}  # fmt: skip


@pytest.mark.parametrize("report", [kill_report(), missed_report(), switchover_report()], ids=lambda one: str(one.id))
def test_json_has_every_field_of_the_contract_in_its_order(report: model.DrillReport) -> None:
    found = json.loads(report_json(report))
    for part, fields in CONTRACT.items():
        have = list(found[part] if part else found)
        assert have[: len(fields)] == fields, part
    assert found["schema"] == "failover/drill/v1"
    assert list(found["load"]["latency_ms"]) == ["p50", "p99", "max"]
    assert {tuple(phase)[:3] for phase in found["phases"]} == {("name", "started_s", "seconds")}
    assert {tuple(one)[:4] for one in found["objectives"]} == {("name", "limit", "measured", "held")}


def test_json_reads_back_as_the_same_report() -> None:
    report = missed_report()
    assert msgspec.json.decode(report_json(report), type=model.DrillReport) == report


def test_not_measured_is_never_held() -> None:
    assert not model.at_most("x", limit=1.0, measured=None).held
    assert not model.at_least("x", limit=0.0, measured=None).held
    assert not model.exactly("x", limit=0.0, measured=None).held
    assert model.at_most("x", limit=1.0, measured=1.0).held
    assert model.at_least("x", limit=2.0, measured=2.0).held
    assert not model.exactly("x", limit=0.0, measured=1.0).held


def test_the_verdict_names_what_was_missed() -> None:
    headline, sentence = verdict(missed_report())
    assert headline == "MISSED 6 of 8 objectives: kill of alpha"
    assert sentence.startswith("fault to first acknowledged write 4.127 s (limit ≤ 3.5 s)")
    assert "most sites writable at once not measured (limit = 1); and 3 more" in sentence
    assert verdict(kill_report())[0] == "HELD: kill of alpha"
    assert verdict(switchover_report())[0] == "HELD: switchover to beta"


def test_a_drill_that_broke_off_is_never_called_held() -> None:
    report = msgspec.structs.replace(kill_report(), held=False, objectives=(), remarks=("the promote step failed",))
    assert verdict(report) == ("MISSED: kill of alpha", "the promote step failed")


def test_a_tile_is_good_only_when_its_objective_held() -> None:
    found = {tile.name: tile for tile in tiles(missed_report())}
    assert found[model.Measure.LOST].good is False
    assert found[model.Measure.RECOVERY].good is False
    assert (found[model.Measure.WRITABLE].value, found[model.Measure.WRITABLE].good) == (UNKNOWN, False)
    assert found[model.Measure.DUPLICATED].good is True
    assert found[model.Measure.REPROTECTED].good is False
    assert all(tile.good is not False for tile in tiles(kill_report()))


def test_a_tile_is_never_better_than_its_figure_and_never_good_unmeasured() -> None:
    report = msgspec.structs.replace(
        kill_report(), ledger=missed_report().ledger, recovery_time_s=None, writable_at_once=None, objectives=()
    )
    found = {tile.name: tile.good for tile in tiles(report)}
    assert found[model.Measure.LOST] is False
    assert found[model.Measure.RECOVERY] is None
    assert found[model.Measure.WRITABLE] is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0, "", "0"), (8402.0, "", "8\u202f402"), (1.184, "s", "1.184 s"), (250.0, "ms", "250 ms"), (1.5, "s", "1.5 s")],
)
def test_quantities_are_short(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_limits_show_their_relation() -> None:
    assert limit(model.at_least("x", limit=2, measured=1)) == "≥ 2"
    assert measured(model.at_least("x", limit=2, measured=None)) == UNKNOWN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the drill on a bad night, drawn once."""
    made = tmp_path_factory.mktemp("report")
    assert write_report(made, missed_report(), series()) == made / "report.html"
    return made


def test_the_page_is_one_file_that_asks_no_host_for_anything(folder: Path) -> None:
    html = folder / "report.html"
    text = html.read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    assert html.stat().st_size < 1_000_000
    addresses = set(re.findall(r'(?:https?:)?//[^\s"\'<>)]+', text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)|<link|<img|<iframe", text)
    assert text.count("<svg") == text.count("</svg>") == 2
    assert "#0102" not in text, "a stand-in colour was left in"


def test_what_a_report_says_is_escaped() -> None:
    text = page(missed_report(), [])
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_plots_are_well_formed_and_marked(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        words = "".join(ElementTree.fromstring(svg).itertext())
        assert "alpha killed" in words
        assert "acknowledged writes" in words
        assert "two observers agree" in words
        assert "metadata" not in svg


def test_a_load_without_a_single_answer_is_drawn_too(tmp_path: Path) -> None:
    nothing = model.DrillSeries(bucket_s=0.1, acknowledged_writes=(0,) * 50, failed_attempts=(0,) * 50, latency=())
    report = msgspec.structs.replace(missed_report(), phases=(), fault_s=None)
    assert write_report(tmp_path, report, nothing).read_text().count("<svg") == 1


def test_without_the_plotting_library_the_figures_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "failover.render.plots", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = write_report(tmp_path, kill_report(), series()).read_text()
    assert "failover[report]" in text
    assert "<svg" not in text
    assert json.loads((tmp_path / "report.json").read_text())["held"] is True


def test_writing_replaces_both_files_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failover.render.report._plots", lambda report, series: [])
    write_report(tmp_path, kill_report(), series())
    write_report(tmp_path, missed_report(), series())
    assert json.loads((tmp_path / "report.json").read_text())["held"] is False
    assert "MISSED" in (tmp_path / "report.html").read_text()
    assert len(list(tmp_path.iterdir())) == 2
