"""Findings as text: the plain form is what the ``.expected`` files hold; here the rest of it."""

from __future__ import annotations

from failover.model.finding import Finding, Place, Severity
from failover.render.findings import findings_summary, findings_text


def finding(line: int = 2, column: int = 3, severity: Severity = Severity.ERROR) -> Finding:
    place = Place(file="fleet.yaml", line=line, column=column)
    message, hint = "a.b: unknown key", "did you mean c?"
    return Finding(code="unknown-key", severity=severity, message=message, hint=hint, place=place)


def test_plain_form() -> None:
    text = findings_text([finding()])
    assert text == "fleet.yaml:2:3: error unknown-key: a.b: unknown key\n    did you mean c?\n"


def test_without_place_and_hint() -> None:
    alone = Finding(code="unreadable", severity=Severity.WARNING, message="fleet.yaml: cannot be read")
    assert findings_text([alone]) == "warning unreadable: fleet.yaml: cannot be read\n"


def test_nothing_to_say() -> None:
    assert findings_text([]) == ""


def test_the_line_with_a_caret() -> None:
    text = findings_text([finding()], sources={"fleet.yaml": "a:\n  b: 1\n"})
    assert text.splitlines()[1:] == ["    2 |   b: 1", "      |   ^", "    did you mean c?"]


def test_a_tab_does_not_shift_the_caret() -> None:
    lines = findings_text([finding(line=1, column=2)], sources={"fleet.yaml": "\tb: 1\n"}).splitlines()
    assert lines[1:3] == ["    1 | ·b: 1", "      |  ^"]


def test_a_long_line_is_cut_around_the_caret() -> None:
    source = "x" * 500 + "HERE" + "y" * 500
    _, line, caret, _ = findings_text([finding(line=1, column=501)], sources={"fleet.yaml": source}).splitlines()
    assert len(line) < 130
    assert line[caret.index("^") :].startswith("HERE")


def test_a_place_beyond_the_text_has_no_excerpt() -> None:
    plain = findings_text([finding(line=9)])
    assert findings_text([finding(line=9)], sources={"fleet.yaml": "a: 1\n"}) == plain
    assert findings_text([finding()], sources={}) == findings_text([finding()])


def test_summary() -> None:
    assert findings_summary([]) == "no problems"
    assert findings_summary([finding()]) == "1 error"
    many = [finding(), finding(), finding(severity=Severity.WARNING), finding(severity=Severity.NOTE)]
    assert findings_summary(many) == "2 errors, 1 warning, 1 note"
