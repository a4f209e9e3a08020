"""Brings stores that missed shipped WAL level with the others: ciphertext from store to store, without any key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from failover.data.ask import ask_all
from failover.data.small import get_small, put_small
from failover.data.wal_listing import held_chunks
from failover.errors import FailoverError, NotFound
from failover.model import snapshot as names
from failover.model.snapshot import history_name, wal_prefix
from failover.model.units import Lsn
from failover.planner.wal import missing
from failover.ports.store import Store

_STALL_S = 20.0
_AT_ONCE = 20_000


async def level(
    stores: Sequence[Store], *, fleet: str, system_identifier: str, timelines: Iterable[int], since: Lsn = 0
) -> dict[str, str]:
    """Copies what any store has and another lacks, of chunks that begin at ``since`` or later. What went wrong, by
    store; empty: all of them are level. Repeatable: a pass that was cut short is taken up by the next."""
    failed: dict[str, str] = {}
    for timeline in timelines:
        at: Lsn | None = since
        while at is not None:
            at = await _level_some(stores, fleet, system_identifier, timeline, at, failed)
    return failed


async def _level_some(
    stores: Sequence[Store], fleet: str, system_identifier: str, timeline: int, since: Lsn, failed: dict[str, str]
) -> Lsn | None:
    """As many as fit into memory; where the next pass begins, ``None`` at the end."""
    held = await held_chunks(stores, fleet, system_identifier, timeline, since=since, most=_AT_ONCE)
    failed |= {store.name: "does not answer" for store in stores if store.name not in held}
    cut = [max(chunk.start for chunk in chunks) for chunks in held.values() if len(chunks) == _AT_ONCE]
    until = min(cut, default=None)
    everything = {chunk for chunks in held.values() for chunk in chunks if until is None or chunk.start < until}
    prefix = wal_prefix(fleet, system_identifier, timeline)
    for target in (store for store in stores if store.name in held and store.name not in failed):
        sources = [store for store in stores if store.name in held and store is not target]
        keys = [prefix + chunk.name for chunk in missing(held[target.name], everything)]
        error = await _fill(target, sources, keys, prefix, timeline)
        if error is not None:
            failed[target.name] = str(error)
    return until if until is None or until > since else until + 1


async def _fill(
    target: Store, sources: Sequence[Store], keys: Sequence[str], prefix: str, timeline: int
) -> FailoverError | None:
    """Stops at the first that cannot be had: it is the store or the network that is at fault, not the chunk."""
    history = prefix + history_name(timeline)
    try:
        wanted = [] if timeline == 1 or await target.head(history, deadline_s=_STALL_S) else [history]
    except FailoverError as error:
        return error
    for key in [*wanted, *keys]:
        failed = await _copy(key, target, sources)
        if failed is not None:
            return failed
    return None


async def _copy(key: str, target: Store, sources: Sequence[Store]) -> FailoverError | None:
    error: FailoverError | None = None
    for source in sources:
        try:
            body = await get_small(source, key)
        except NotFound:
            continue
        except FailoverError as failed:
            error = failed
            continue
        return await put_small(target, key, body)
    return error


async def snapshot_since(stores: Sequence[Store], *, fleet: str, system_identifier: str, after: datetime) -> bool:
    """A snapshot was begun after that and is with two providers by now. By listings alone; stores that do not answer
    count for nothing."""

    async def found(store: Store) -> set[str]:
        ids: set[str] = set()
        for folder in names.snapshot_folders(fleet, system_identifier):
            async for each in store.list(folder, stall_s=_STALL_S):
                snapshot, _, name = each.key.removeprefix(folder).partition("/")
                if name == names.MANIFEST and names.is_id(snapshot) and names.created(snapshot) > after:
                    ids.add(snapshot)
        return ids

    answers, _ = await ask_all(stores, found)
    providers: dict[str, set[str]] = {}
    for store in stores:
        for snapshot in answers.get(store.name, ()):
            providers.setdefault(snapshot, set()).add(store.traits.provider)
    return any(len(each) >= names.QUORUM for each in providers.values())
