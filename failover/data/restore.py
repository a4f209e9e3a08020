"""A snapshot back onto disk, into a folder that is empty; never over anything. Works beside it, in ``INTO.restoring``,
and goes on there after it was killed: what is whole stands under its final name, what is not ends in ``.part``."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from failover.data.catalog import Entry
from failover.data.copies import whole
from failover.data.further import Further, Reader, fetch_further, own_arrival
from failover.data.unpack import Seen, unpack
from failover.errors import Damaged, LeaseHeld, UsageError
from failover.model.snapshot import DATA, FILE_LIST, MANIFEST, WAL_TAIL
from failover.model.units import format_lsn
from failover.ports.scratch import Scratch
from failover.ports.store import Store

Phase = Callable[[str], Seen | None]
"""Told the name of each phase as it begins; may answer with a counter of ciphertext bytes."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """``lsn`` is where the copy stands; ``notes``: stores that were passed over, and why."""

    lsn: str
    exact: bool
    notes: tuple[str, ...]


class _Ticket(msgspec.Struct, frozen=True, kw_only=True):
    snapshot: str


async def fetch(chain: Sequence[Entry], reader: Reader, work: Path, notes: list[str], *, phase: Phase | None) -> None:
    """Every archive of the chain, the full one first, each into ``work/ID``, and the last one's WAL into
    ``work/wal``."""
    for entry in chain:
        if reader.strict:
            await _check_store(entry, reader, last=entry is chain[-1])
        wanted = entry.manifest.object(DATA)
        assert wanted is not None
        seen = phase(f"fetch {entry.manifest.id}") if phase is not None else None
        await unpack(
            ordered(entry, reader), entry.manifest.prefix + DATA, wanted, work / entry.manifest.id,
            keys=reader.keys, strict=reader.strict, notes=notes, seen=seen,
        )  # fmt: skip
    last = chain[-1]
    tail = last.manifest.object(WAL_TAIL)
    if tail is not None:
        await unpack(
            ordered(last, reader), last.manifest.prefix + WAL_TAIL, tail, work / "wal",
            keys=reader.keys, strict=reader.strict, notes=notes,
        )  # fmt: skip


async def _check_store(entry: Entry, reader: Reader, *, last: bool) -> None:
    """What a restore itself would not notice: the file list, which only the next incremental needs, the WAL of a
    parent, and the manifest, which came from whichever store had it."""
    for stored in entry.manifest.objects:
        if stored.name == FILE_LIST or (stored.name == WAL_TAIL and not last):
            await whole(reader.stores, entry.manifest.prefix + stored.name, stored)
    if reader.stores[0].name not in entry.stores:
        for stored in entry.manifest.objects:
            await whole(reader.stores, entry.manifest.prefix + stored.name, stored)
        key = entry.manifest.prefix + MANIFEST
        said = f"{', '.join(entry.stores) or 'no store'} still has a good copy"
        where = f"{reader.stores[0].name}:{key}"
        raise Damaged(f"{key} in {reader.stores[0].name} is missing or damaged; {said}", where=where)


def ordered(entry: Entry, reader: Reader) -> list[Store]:
    """The reader's stores; those that hold the snapshot whole come first unless the order is strict."""
    if reader.strict:
        return list(reader.stores)
    return sorted(reader.stores, key=lambda store: store.name not in entry.stores)


async def restore(
    chain: Sequence[Entry],
    reader: Reader,
    scratch: Scratch,
    into: Path,
    *,
    lasting: bool = True,
    wal: Further | None = None,
    phase: Phase | None = None,
    look: Callable[[], None] | None = None,
) -> Restored:
    """The last snapshot of ``chain`` as a stopped data directory ``into`` that opens as a primary of nobody.

    ``look`` is called in a thread while it runs. Raises ``UsageError`` when something is there, ``Damaged`` before the
    copy starts when an object is wrong."""
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(
            f"{into} is not empty: nothing is restored over anything", hint="name a folder that is not there"
        )
    work = into.with_name(into.name + ".restoring")
    with _alone(work, chain[-1].manifest.id):
        notes: list[str] = []
        data = work / "data"
        # A copy that was being recovered when we were killed may have been opened: begin it anew.
        await asyncio.to_thread(scratch.sweep, data)
        await asyncio.to_thread(shutil.rmtree, data, True)
        await fetch(chain, reader, work, notes, phase=phase)
        _say(phase, "verify files")
        await asyncio.to_thread(_assemble, chain, scratch, work, data)
        arrival, shipped = own_arrival(chain[-1]), None
        if wal is not None:
            shipped = work / "shipped"
            arrival = await fetch_further(chain[-1], reader, scratch, wal, into=shipped, seed=data / "pg_wal")
        _say(phase, f"replay to {format_lsn(arrival.lsn)}")
        try:
            await asyncio.to_thread(scratch.recover, data, arrival=arrival, wal=shipped, lasting=lasting)
            if look is not None:
                await asyncio.to_thread(look)
        finally:
            await asyncio.to_thread(scratch.stop)
        if lasting:
            await asyncio.to_thread(os.sync)
            if into.exists():
                into.rmdir()
            data.rename(into)
    await asyncio.to_thread(shutil.rmtree, work, True)
    return Restored(lsn=format_lsn(arrival.lsn), exact=arrival.where != "consistent", notes=tuple(notes))


def _say(phase: Phase | None, words: str) -> None:
    if phase is not None:
        phase(words)


def _assemble(chain: Sequence[Entry], scratch: Scratch, work: Path, data: Path) -> None:
    """One verified data directory from the archives."""
    folders = [work / entry.manifest.id for entry in chain]
    for folder in folders:
        scratch.verify_files(folder)
    if len(folders) == 1:
        folders[0].rename(data)
    else:
        part = work / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        scratch.combine(folders, part)
        scratch.verify_files(part)
        part.rename(data)
    tail = work / "wal" / "pg_wal"
    if tail.is_dir():
        for segment in sorted(tail.iterdir()):
            shutil.copyfile(segment, data / "pg_wal" / segment.name)


@contextmanager
def _alone(work: Path, snapshot: str) -> Iterator[None]:
    """One restore at a time into one place, and of one snapshot."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LeaseHeld(f"another restore works in {work}") from error
        ticket = work / "ticket.json"
        wanted = msgspec.json.encode(_Ticket(snapshot=snapshot))
        if ticket.exists() and ticket.read_bytes() != wanted:
            raise UsageError(f"{work} holds the beginning of another restore", hint=f"remove {work}, then again")
        ticket.write_bytes(wanted)
        yield
