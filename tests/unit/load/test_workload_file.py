"""A workload's YAML: the one we ship decodes, and every mistake is reported with its place, all in one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from failover.load.template import Template
from failover.load.workload_file import WorkloadFileError, check_workload, load_workload

SHIPPED = Path(__file__).parents[3] / "stacks" / "workload.yaml"

WRONG = """\
name: broken
clients: 0
secret: {key: env:KEY}
secrets: {id: env:KEY, key: "hunter2"}
login:
  - method: PUSH
    path: api/sessions
    accept: [200, 99]
    keep: {token: body.token}
write:
  method: POST
  path: /posts
  headers: {Authorization: "Bearer {tokem}", "bad header": x}
  json: {text: hello}
  body: text
  acknowledged: [201]
reads:
  - path: /
    accept: [200]
    weight: 0
read_back:
  sql: SELECT note FROM notes WHERE note LIKE 'drill%' AND run = %(rum)s
"""

# code, line, a word of the message
EXPECTED = [
    ("out-of-range", 2, "clients"),
    ("unknown-key", 3, "secret"),
    ("bad-name", 4, "'id'"),
    ("bad-reference", 4, "secret"),
    ("bad-choice", 6, "PUSH"),
    ("bad-path", 7, "begin with /"),
    ("out-of-range", 8, "99"),
    ("bad-place", 9, "body.token"),
    ("missing-key", 10, "idempotent"),
    ("unknown-name", 13, "tokem"),
    ("bad-header", 13, "bad header"),
    ("two-bodies", 14, "both"),
    ("no-id", 10, "{id}"),
    ("missing-key", 18, "method"),
    ("out-of-range", 20, "weight"),
    ("no-prefix", 22, "every run"),
    ("bare-percent", 22, "%"),
    ("unknown-name", 22, "rum"),
]


def test_the_shipped_workload_decodes() -> None:
    workload = load_workload(SHIPPED)
    assert workload.write.idempotent
    assert workload.write.request.accept == (201,)
    assert [login.request.path for login in workload.login] == ["/api/accounts", "/api/sessions"]
    body = Template(workload.write.request.body, escape_json=True).fill({"id": "r.w0000001"})
    assert json.loads(body) == {"body": "drill r.w0000001", "client_id": "r.w0000001"}


def test_every_problem_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(WRONG)
    workload, findings = check_workload(file)
    assert workload is None
    found = [(finding.code, finding.place.line if finding.place else 0, finding.message) for finding in findings]
    for code, line, word in EXPECTED:
        assert any(one[0] == code and one[1] == line and word in one[2] for one in found), (code, line, word, found)
    assert len(found) == len(EXPECTED), found


def test_the_error_lists_them_and_never_shows_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(WRONG)
    with pytest.raises(WorkloadFileError) as caught:
        load_workload(file)
    assert len(caught.value.findings) == len(EXPECTED)
    assert "hunter2" not in str(caught.value)
    assert f"{file}:6:" in str(caught.value)


def test_a_mark_is_read_and_its_mistakes_are_found(tmp_path: Path) -> None:
    mark = load_workload(SHIPPED).mark
    assert mark is not None
    assert (mark.keep, mark.stale, mark.request.accept) == ("json:id", (404,), (200,))
    file = tmp_path / "workload.yaml"
    text = SHIPPED.read_text().replace("/api/posts/{mark}", "/api/posts/1").replace("keep: json:id", "keep: id")
    file.write_text(text.replace("  stale: [404]\n", ""))
    workload, findings = check_workload(file)
    assert workload is None
    assert {finding.code for finding in findings} == {"no-mark", "bad-place", "missing-key"}


def test_a_misspelt_name_is_answered_with_the_right_one(tmp_path: Path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(SHIPPED.read_text().replace("Bearer {token}", "Bearer {tokem}"))
    _, findings = check_workload(file)
    assert {finding.hint for finding in findings} == {"did you mean token?"}


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "name: {", "name: &a x\nclients: *a\n", "\t"])
def test_anything_else_is_a_finding_and_no_crash(tmp_path: Path, text: str) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(text)
    workload, findings = check_workload(file)
    assert workload is None
    assert findings


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    workload, findings = check_workload(tmp_path / "nowhere.yaml")
    assert workload is None
    assert [finding.code for finding in findings] == ["unreadable"]
