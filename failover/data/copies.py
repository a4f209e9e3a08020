"""Ciphertext from store to store, compared by sha256: needs no key. Catching a store up, and finding rot."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence

from failover.data.catalog import Entry
from failover.data.small import put_small
from failover.errors import Damaged, FailoverError, NotFound
from failover.model.snapshot import MANIFEST, SnapshotObject
from failover.ports.store import Store

_STALL_S = 30.0


async def fault(store: Store, key: str, wanted: SnapshotObject) -> FailoverError | None:
    """What is wrong with the object there, every byte read; ``None`` when it is what was stored."""
    try:
        async for _ in checked(store, key, wanted):
            continue
    except FailoverError as error:
        return error
    return None


async def checked(store: Store, key: str, wanted: SnapshotObject) -> AsyncIterator[bytes]:
    """The object's bytes; the last ones only once all are right. Raises ``Damaged`` instead: nothing that reads to the
    end ever takes wrong bytes for whole."""
    seen = hashlib.sha256()
    size, held = 0, b""
    try:
        async for chunk in store.get_stream(key, stall_s=_STALL_S):
            if held:
                yield held
            seen.update(chunk)
            size += len(chunk)
            held = chunk
    except NotFound as error:
        raise Damaged(f"{key} is missing in {store.name}", where=f"{store.name}:{key}") from error
    if size != wanted.size_bytes or seen.hexdigest() != wanted.sha256:
        what = f"{size} bytes, not {wanted.size_bytes}" if size != wanted.size_bytes else "other bytes than were stored"
        raise Damaged(f"{key} in {store.name} is damaged: {what}", where=f"{store.name}:{key}")
    yield held


async def good_copies(stores: Sequence[Store], key: str, wanted: SnapshotObject) -> tuple[str, ...]:
    """The stores whose copy is right."""
    return tuple([store.name for store in stores if await fault(store, key, wanted) is None])


async def whole(stores: Sequence[Store], key: str, wanted: SnapshotObject) -> None:
    """Raises what is wrong with the first store's copy; ``Damaged`` says who still has a good one."""
    error = await fault(stores[0], key, wanted)
    if isinstance(error, Damaged):
        raise await damaged(error, stores[1:], key, wanted)
    if error is not None:
        raise error


async def damaged(error: Damaged, others: Sequence[Store], key: str, wanted: SnapshotObject) -> Damaged:
    """The same error with the stores that still have a good copy."""
    good = await good_copies(others, key, wanted)
    said = f"{', '.join(good)} still has a good copy" if good else "no other store has a good copy"
    return Damaged(f"{error.message}; {said}", where=error.where, hint="failover snapshot list")


async def catch_up(entry: Entry, stores: Mapping[str, Store]) -> dict[str, FailoverError | None]:
    """Copies what is missing to every store that does not have the snapshot whole, the manifest last. ``None``: that
    store has it now. Every byte is compared on its way; a source that is damaged is passed over."""
    answers: dict[str, FailoverError | None] = {}
    for name, target in stores.items():
        if name not in entry.stores:
            answers[name] = await _fill(entry, target, [stores[source] for source in entry.stores if source in stores])
    return answers


async def _fill(entry: Entry, target: Store, sources: Sequence[Store]) -> FailoverError | None:
    for stored in entry.manifest.objects:
        key = entry.manifest.prefix + stored.name
        try:
            there = await target.head(key, deadline_s=_STALL_S)
        except FailoverError as error:
            return error
        if there is not None and there.size_bytes == stored.size_bytes and await fault(target, key, stored) is None:
            continue
        failed = await _copy(key, stored, target, sources)
        if failed is not None:
            return failed
    return await put_small(target, entry.manifest.prefix + MANIFEST, entry.raw)


async def _copy(key: str, stored: SnapshotObject, target: Store, sources: Sequence[Store]) -> FailoverError | None:
    error: FailoverError | None = Damaged(f"no store has a good copy of {key}", where=key)
    for source in sources:
        try:
            await target.put_stream(key, checked(source, key, stored), stall_s=_STALL_S)
        except FailoverError as failed:
            error = failed
            continue
        return None
    return error
