"""Full or incremental, and from where: every reason is one line of this table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from failover.model.plan import Refusal
from failover.planner.retention import Held
from failover.planner.snapshot import CHAIN_LIMIT, Bucket, Choice, Source, Taken, choose

NOW = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
ALPHA = Source(
    site="alpha", provider="a", primary=True, reachable=True, timeline=1, system_identifier="7",
    summaries_from=10, lists=("s0",),
)  # fmt: skip
BETA = msgspec.structs.replace(ALPHA, site="beta", provider="b", primary=False, streaming=True)
BUCKETS = (Bucket(name="sa", provider="a", reachable=True), Bucket(name="sb", provider="b", reachable=True))


def taken(index: int = 0, *, parent: str = "", hours: float = 1, **changes: object) -> Taken:
    held = Held(
        id=f"s{index}", kind="incremental" if parent else "full", parent=parent,
        created_at=NOW - timedelta(hours=hours), stores=("sa", "sb"), providers=("a", "b"),
    )  # fmt: skip
    base = Taken(held=held, timeline=1, start_lsn=100, system_identifier="7")
    return msgspec.structs.replace(base, **changes)


def chosen(
    sources: tuple[Source, ...] = (ALPHA, BETA), earlier: tuple[Taken, ...] = (), *, full: bool = False
) -> Choice:
    answer = choose(sources=sources, buckets=BUCKETS, taken=earlier, now=NOW, full=full)
    assert isinstance(answer, Choice)
    return answer


def test_the_first_is_full_and_from_the_standby() -> None:
    answer = chosen()
    assert (answer.kind, answer.site, answer.stores) == ("full", "beta", ("sa", "sb"))
    assert answer.why == ("full: there is no earlier snapshot", "from beta: a standby carries no writes")


def test_the_next_is_incremental() -> None:
    answer = chosen(earlier=(taken(),))
    assert (answer.kind, answer.parent) == ("incremental", "s0")
    assert answer.why[0] == "incremental on s0"


def held(**changes: object) -> Taken:
    return taken(held=msgspec.structs.replace(taken().held, **changes))


@pytest.mark.parametrize(
    ("earlier", "beta", "reason"),
    [
        (taken(system_identifier="8"), {}, "s0 is of another database"),
        (taken(), {"timeline": 2}, "timeline 2 is new since s0"),
        (taken(), {"summaries_from": None}, "beta keeps no WAL summaries (summarize_wal)"),
        (taken(), {"summaries_from": 101}, "the WAL summaries at beta begin after s0"),
        (taken(), {"lists": ()}, "beta has no file list of s0"),
        (taken(hours=24 * 8), {}, "the last full one, s0, is older than 7 days"),
        (held(providers=("a",)), {}, "s0 is with fewer than 2 providers"),
        (held(removing=True), {}, "s0 is being removed"),
        (held(parent="gone"), {}, "something s0 is restored on top of is missing"),
    ],
)
def test_a_full_one_says_why(earlier: Taken, beta: dict[str, object], reason: str) -> None:
    answer = chosen((ALPHA, msgspec.structs.replace(BETA, **beta)), (earlier,))
    assert answer.kind == "full"
    assert answer.why[0] == f"full: {reason}"


def test_a_long_chain_ends() -> None:
    links = [taken(0, hours=CHAIN_LIMIT + 1)]
    links += [taken(index, parent=f"s{index - 1}", hours=CHAIN_LIMIT + 1 - index) for index in range(1, CHAIN_LIMIT)]
    lists = tuple(each.held.id for each in links)
    answer = chosen((msgspec.structs.replace(BETA, lists=lists[-1:]),), tuple(links))
    assert answer.why[0] == f"full: {CHAIN_LIMIT} snapshots are stacked on s0 already"
    assert chosen((msgspec.structs.replace(BETA, lists=lists),), tuple(links[:-1])).parent == f"s{CHAIN_LIMIT - 2}"


@pytest.mark.parametrize(
    ("beta", "reason"),
    [
        ({"reachable": False}, "from the primary alpha: beta does not answer"),
        ({"streaming": False}, "from the primary alpha: beta does not stream"),
        ({"lag_bytes": 200 * 2**20}, "from the primary alpha: beta is 200 MB behind"),
    ],
)
def test_the_primary_is_read_only_when_the_standby_cannot(beta: dict[str, object], reason: str) -> None:
    answer = chosen((ALPHA, msgspec.structs.replace(BETA, **beta)))
    assert (answer.site, answer.why[1]) == ("alpha", reason)


def test_two_stores_of_one_provider_are_refused() -> None:
    one = (Bucket(name="sa", provider="a", reachable=True), Bucket(name="sa2", provider="a", reachable=True))
    away = Bucket(name="sb", provider="b", reachable=False)
    answer = choose(sources=(ALPHA, BETA), buckets=(*one, away), taken=(), now=NOW)
    assert isinstance(answer, Refusal)
    assert "sb" in answer.summary


def test_without_any_site_it_is_refused() -> None:
    gone = tuple(msgspec.structs.replace(each, reachable=False) for each in (ALPHA, BETA))
    answer = choose(sources=gone, buckets=BUCKETS, taken=(), now=NOW)
    assert isinstance(answer, Refusal)
    assert "beta does not answer" in answer.summary


def test_all_that_it_stands_on_opens_with_the_same_keys() -> None:
    first = taken(encrypted_to=("k1", "k2"))
    second = taken(1, parent="s0", encrypted_to=("k2", "k1"))

    def kind(recipients: tuple[str, ...]) -> str:
        answer = choose(
            sources=(msgspec.structs.replace(BETA, lists=("s0", "s1")),), buckets=BUCKETS, taken=(first, second),
            now=NOW, recipients=recipients,
        )  # fmt: skip
        assert isinstance(answer, Choice)
        return answer.kind

    assert kind(("k1", "k2")) == "incremental"
    assert kind(("k1", "k3")) == "full"


def test_a_refusal_says_which_store_and_why() -> None:
    buckets = (BUCKETS[0], Bucket(name="sb", provider="b", reachable=False, error="no room left (sb)"))
    answer = choose(sources=(ALPHA,), buckets=buckets, taken=(), now=NOW)
    assert isinstance(answer, Refusal) and "sb: no room left" in answer.summary
