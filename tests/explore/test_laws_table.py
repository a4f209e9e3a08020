"""No law of moving a primary without a way to see it broken: by the explorer, or in real parts."""

from __future__ import annotations

from tests.explore.scenarios import LAWS, STUCK
from tests.laws.cases import CASES

EVERY = {
    "A1": "a duplicate is answered by what writes WAL; after a start the gate waits for the standby",
    "A2": "a commit whose wait was cancelled is not acknowledged",
    "A3": "synchronous_commit is on",
    "B1": "a member is a copy, with an id of its own",
    "B2": "names count once they are shown to be in force",
    "B3": "every listed member must acknowledge",
    "B4": "a member is left out with the witness's consent",
    "B5": "silence of a standby is noticed, by the primary's clock",
    "C1": "a swap compares revision and lease, and each field has one writer",
    "C2": "a start as primary follows a swap; a move stands in the way only for its budget",
    "C3": "one keeper per data directory",
    "C4": "a stray start is read-only",
    "C5": "who may be promoted, and one history per timeline number",
    "C6": "what only a former primary has is kept and counted, and an operator releases it",
    "C7": "the old primary is listed only where its name is in force",
    "C8": "a record from before is followed by nobody",
    "E1": "reads are served on fresh evidence only",
}
REAL_ONLY = {"A3": "a level of PostgreSQL: the model's commits always wait"}
THREE_COPIES = {"B3"}  # tests/explore/trio.py


def test_every_law_is_a_switch_of_the_explorer_unless_the_reason_is_said() -> None:
    switches = {name.split()[0] for name in (*LAWS, *STUCK)} | THREE_COPIES
    assert switches == set(EVERY) - set(REAL_ONLY)


def test_every_law_is_broken_in_real_parts_too() -> None:
    assert set(EVERY) <= {case.law for case in CASES}
