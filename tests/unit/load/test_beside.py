"""Streams and uploads beside the load: what of them is counted, and what a workload may declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from failover.load.beside_figures import stream_figures, upload_figures
from failover.load.workload_file import check_workload, load_workload
from failover.model.ledger import StreamDone, UploadDone

STACKS = Path(__file__).parents[3] / "stacks"
BESIDE = """
streams:
  - {method: GET, path: /events, accept: [200], clients: 3}
uploads:
  - {method: POST, path: "/files/{id}", accept: [201], size_bytes: 1000, takes: 8s, every: 2s, begins: GIF89a}
"""


def opening(holder: int, asked: float, opened: float, ended: float, why: str) -> StreamDone:
    return StreamDone(holder=holder, asked_s=asked, opened_s=opened, ended_s=ended, why=why, status=200)


def test_every_opening_is_counted_and_the_longest_time_without() -> None:
    lines = [
        opening(0, 10.0, 10.1, 15.0, "ended"),
        opening(0, 15.2, 0.0, 15.3, "connect"),
        opening(0, 15.5, 17.0, 30.0, "stopped"),
        opening(1, 10.0, 10.4, 30.0, "stopped"),
    ]
    found = stream_figures(lines)
    assert found is not None
    assert (found.held, found.ended, found.refused, found.open_at_end) == (2, 1, 1, 2)
    assert found.longest_away_s == 2.0


def test_a_stream_that_never_came_back_is_not_open_at_the_end() -> None:
    found = stream_figures([opening(0, 1.0, 1.0, 2.0, "lost"), opening(0, 2.2, 0.0, 9.0, "stopped")])
    assert found is not None
    assert (found.ended, found.open_at_end, found.longest_away_s) == (1, 0, 7.0)


def test_an_upload_without_acknowledgement_failed() -> None:
    def upload(id_: str, status: int, why: str, took: float) -> UploadDone:
        done = status == 201 and not why
        return UploadDone(id=id_, sent_s=1.0, ended_s=1.0 + took, status=status, why=why, acknowledged=done)

    found = upload_figures([upload("a", 201, "", 8.0), upload("b", 503, "", 3.0), upload("c", 0, "OSError", 1.0)])
    assert found is not None
    assert (found.sent, found.acknowledged, found.failed, found.longest_s) == (3, 1, 2, 8.0)


def test_nothing_declared_is_not_measured_and_never_zero() -> None:
    assert stream_figures([]) is None
    assert upload_figures([]) is None


def written(folder: Path, more: str) -> Path:
    path = folder / "workload.yaml"
    path.write_text((STACKS / "workload.yaml").read_text() + more)
    return path


def test_a_workload_may_hold_streams_open_and_upload_slowly(tmp_path: Path) -> None:
    found = load_workload(written(tmp_path, BESIDE))
    assert (found.streams[0].request.path, found.streams[0].clients) == ("/events", 3)
    upload = found.uploads[0]
    assert (upload.size_bytes, upload.takes_s, upload.every_s, upload.begins) == (1000, 8.0, 2.0, "GIF89a")


@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        ("takes: 8s", "takes: 8", "missing-unit"),
        ("size_bytes: 1000, ", "", "missing-key"),
        ("clients: 3", "client: 3", "unknown-key"),
        ("path: /events", 'path: "/events/{nobody}"', "unknown-name"),
    ],
)
def test_what_is_wrong_in_them_is_reported(tmp_path: Path, good: str, bad: str, code: str) -> None:
    assert good in BESIDE
    workload, findings = check_workload(written(tmp_path, BESIDE.replace(good, bad)))
    assert workload is None
    assert code in {finding.code for finding in findings}
