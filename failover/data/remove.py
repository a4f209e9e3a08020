"""Takes a snapshot out of its stores. A mark goes in first, everywhere: a removal that was cut off is finished by the
next one, and what is half gone is never taken for a snapshot again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from failover.data.small import put_small
from failover.data.wal_listing import held_chunks
from failover.errors import FailoverError
from failover.model.snapshot import MANIFEST, REMOVED, snapshot_folders, wal_prefix
from failover.model.units import Lsn
from failover.ports.store import Store

_STALL_S = 30.0
_AT_ONCE = 8


async def left(stores: Sequence[Store], fleet: str, system_identifier: str, snapshot: str) -> dict[str, list[str]]:
    """Keys of the snapshot by store; without stores that have none. Raises what a store raises."""
    found: dict[str, list[str]] = {}
    for store in stores:
        for folder in snapshot_folders(fleet, system_identifier):
            async for stored in store.list(f"{folder}{snapshot}/", stall_s=_STALL_S):
                found.setdefault(store.name, []).append(stored.key)
    return found


async def remove(stores: Sequence[Store], fleet: str, system_identifier: str, snapshot: str) -> int:
    """Everything of it, out of all of ``stores``; how many objects. Raises what a store raises: call it again then."""
    found = await left(stores, fleet, system_identifier, snapshot)
    holding = [store for store in stores if store.name in found]
    for store in holding:
        await _mark(store, found[store.name])
    for store in holding:
        await _empty(store, found[store.name])
    return sum(len(keys) for keys in found.values())


async def _mark(store: Store, keys: list[str]) -> None:
    manifest = next((key for key in keys if key.endswith(f"/{MANIFEST}")), None)
    mark = f"{keys[0].rpartition('/')[0]}/{REMOVED}"
    if manifest is None or mark in keys:
        return
    error = await put_small(store, mark, b"{}\n")
    if error is not None:
        raise error
    keys.append(mark)


async def _empty(store: Store, keys: list[str]) -> None:
    """The manifest first: without it nothing counts. The mark last."""
    last = {f"/{MANIFEST}": 0, f"/{REMOVED}": 2}
    for key in sorted(keys, key=lambda key: (last.get(f"/{key.rpartition('/')[2]}", 1), key)):
        await store.delete(key, deadline_s=_STALL_S)


async def old_chunks(
    stores: Sequence[Store], fleet: str, system_identifier: str, timeline: int, before: Lsn
) -> dict[str, list[str]]:
    """Keys of chunks that end at or before, by store; without those that have none. A store that does not answer has
    none: it is asked the next time."""
    held = await held_chunks(tuple(stores), fleet, system_identifier, timeline)
    prefix = wal_prefix(fleet, system_identifier, timeline)
    found = {
        name: [prefix + chunk.name for chunk in sorted(chunks) if chunk.end <= before] for name, chunks in held.items()
    }
    return {name: keys for name, keys in found.items() if keys}


async def remove_keys(stores: Sequence[Store], keys: dict[str, list[str]]) -> int:
    """Exactly these; how many. Raises the first error, after all have been tried."""
    turn = asyncio.Semaphore(_AT_ONCE)
    by_name = {store.name: store for store in stores}

    async def one(store: Store, key: str) -> FailoverError | None:
        async with turn:
            try:
                await store.delete(key, deadline_s=_STALL_S)
            except FailoverError as error:
                return error
        return None

    answers = await asyncio.gather(*(one(by_name[name], key) for name, listed in keys.items() for key in listed))
    for answer in answers:
        if answer is not None:
            raise answer
    return len(answers)
