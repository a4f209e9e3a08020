"""Whatever is done to a fleet file, a check gives findings or a fleet: it never raises; every place lies inside."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from failover.config.fleet import check_fleet_bytes
from failover.config.local import local_fleet_text
from failover.model.finding import Severity
from failover.render.findings import findings_text

LINES = [line for line in local_fleet_text().splitlines() if line.strip() and not line.strip().startswith("#")]
WHOLE = "\n".join(LINES) + "\n"
KEY = re.compile(r"^( *)([\w-]+):", re.MULTILINE)
# fmt: off
VALUES = st.sampled_from([
    "", "~", "yes", "true", "0", "-1", "5", "2.5", "1e9", ".inf", ".nan", "9" * 30, "010", "1:30", "5s", "1ms", "99d",
    "x" * 300, "[]", "{}", "[a, [b]]", "{a: {b: c}}", '""', "'", '"', "|", ">", "*a", "&a b", "!!str x", "!x", "- a",
    "#", "127.0.0.1", "::1", "alpha", "beta", "gamma", "data", "witness", "etcd", "sqlite", "G4", "2001-12-14", '"\\0"',
    '"\\n"', "é", "日本", "\t", "%", "@", "`",
])
# fmt: on


def _line(text: str, draw: Callable[[st.SearchStrategy[int]], int]) -> tuple[list[str], int]:
    lines = text.split("\n")
    return lines, draw(st.integers(0, len(lines) - 1))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The whole fleet file after one to five edits."""
    text = WHOLE
    for _ in range(draw(st.integers(1, 5))):
        lines, at = _line(text, draw)
        match draw(st.sampled_from(["drop", "twice", "rename", "value", "indent", "swap", "garbage", "cut", "block"])):
            case "drop":
                del lines[at]
            case "twice":
                lines.insert(at, lines[at])
            case "rename":
                lines[at] = KEY.sub(lambda found: f"{found[1]}{draw(st.text(max_size=12))}:", lines[at], count=1)
            case "value":
                lines[at] = re.sub(r":.*", lambda _: f": {draw(VALUES)}", lines[at], count=1)
            case "indent":
                lines[at] = draw(st.sampled_from([" ", "  ", "\t", "    "])) + lines[at].lstrip()
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "garbage":
                lines[at] += draw(st.text(max_size=20))
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "block":
                del lines[at : at + draw(st.integers(1, 15))]
        text = "\n".join(lines)
    return text


def judge(data: bytes) -> None:
    """Check ``data``, and hold the report to everything that every report promises."""
    fleet, findings = check_fleet_bytes(data, "fleet.yaml")
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    assert (fleet is None) == bool(errors)
    lines = data.decode("utf-8", errors="replace").split("\n")
    places = [finding.place for finding in findings if finding.place is not None]
    assert len(places) == len(findings)
    assert places == sorted(places, key=lambda place: (place.line, place.column))
    for place in places:
        assert 1 <= place.line <= len(lines)
        assert 1 <= place.column <= len(lines[place.line - 1]) + 1
    report = findings_text(findings)
    assert report.count("\n") == sum(2 if finding.hint else 1 for finding in findings)
    assert all(letter.isprintable() for letter in report.replace("\n", ""))
    assert findings_text(findings, sources={"fleet.yaml": data.decode("utf-8", errors="replace")})


def test_the_file_they_start_from_is_valid() -> None:
    assert check_fleet_bytes(WHOLE.encode(), "fleet.yaml")[1] == ()


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_edits(text: str) -> None:
    judge_or_clean(text.encode("utf-8", errors="replace"))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=8), st.integers(0, 20))
def test_garbage_bytes_anywhere(at: int, garbage: bytes, over: int) -> None:
    data = WHOLE.encode()
    judge_or_clean(data[:at] + garbage + data[at + over :])


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_no_fleet_file_at_all(data: bytes) -> None:
    judge_or_clean(data)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:{}[]&*!|>-?,#'\"% \n\t\\", max_size=120))
def test_the_letters_of_yaml(text: str) -> None:
    judge_or_clean(text.encode())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_one_edit_of_a_value_is_reported_near_it_or_is_allowed(data: st.DataObject) -> None:
    lines = WHOLE.split("\n")
    at = data.draw(st.sampled_from([i for i, line in enumerate(lines) if re.search(r": \S", line)]))
    lines[at] = re.sub(r":.*", ": [unwanted, [list]]", lines[at], count=1)
    fleet, findings = check_fleet_bytes("\n".join(lines).encode(), "fleet.yaml")
    assert fleet is None
    assert at + 1 in {finding.place.line for finding in findings if finding.place is not None}


def judge_or_clean(data: bytes) -> None:
    """``findings_text`` of nothing is empty; everything else is judged."""
    if check_fleet_bytes(data, "fleet.yaml")[1]:
        judge(data)
    else:
        assert check_fleet_bytes(data, "fleet.yaml")[0] is not None
