"""Shipped WAL back into segment files, for a restore beyond its snapshot. A gap is an error that says where, never an
early end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from failover.data.small import get_small
from failover.data.squeeze import expand_noted
from failover.data.wal_listing import held_chunks
from failover.data.wal_seal import check_note
from failover.errors import Damaged, FailoverError
from failover.model.snapshot import WalChunk, history_name, wal_prefix
from failover.model.units import Lsn, format_lsn, segment_name
from failover.planner.wal import Gap, Stretch, cover, reach
from failover.ports.store import Store
from failover.trust.age import AgeKey

_AT_ONCE = 8


class WalFetch:
    """WAL of one database out of its stores, into the folder ``into``. ``seals``: whose it may be (public keys); none:
    a fleet that signs none, or a test."""

    def __init__(
        self,
        stores: Sequence[Store],
        keys: Sequence[AgeKey],
        *,
        fleet: str,
        system_identifier: str,
        segment_bytes: int,
        into: Path,
        seals: Collection[str] = (),
    ) -> None:
        self._stores = tuple(stores)
        self._keys = tuple(keys)
        self._fleet = fleet
        self._identifier = system_identifier
        self._segment = segment_bytes
        self._into = into
        self._seals = frozenset(seals)
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._listed: dict[int, frozenset[WalChunk]] = {}

    async def reaches(self, stretch: Stretch, start: Lsn) -> Lsn:
        """How far the chunks of all stores together lead on that timeline."""
        end = reach(await self._held(stretch.timeline), start)
        return end if stretch.end is None else min(end, stretch.end)

    async def history(self, timeline: int) -> bytes:
        """The timeline's history file, written to ``into`` too; empty for the first timeline."""
        if timeline == 1:
            return b""
        content = await self._object(wal_prefix(self._fleet, self._identifier, timeline) + history_name(timeline))
        self._into.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._into / f"{timeline:08X}.history").write_bytes(content)
        return content

    async def fetch(self, stretch: Stretch, *, start: Lsn, end: Lsn, seed: Path, seed_timeline: int) -> None:
        """Segments with ``start`` to ``end`` of one timeline. What comes before ``start`` in the first one is taken
        from the same segment of ``seed_timeline`` below ``seed``. Raises ``Damaged`` at a gap."""
        wanted = cover(await self._held(stretch.timeline), timeline=stretch.timeline, start=start, end=end)
        if isinstance(wanted, Gap):
            raise Damaged(f"no store has WAL of timeline {wanted.timeline} from {format_lsn(wanted.start)}")
        self._into.mkdir(mode=0o700, parents=True, exist_ok=True)
        first = start // self._segment * self._segment
        source = seed / segment_name(seed_timeline, first, self._segment)
        target = self._into / segment_name(stretch.timeline, first, self._segment)
        if source.exists() and not target.exists():
            shutil.copyfile(source, target)
        await asyncio.gather(*(self._chunk(chunk, start=start, end=end) for chunk in wanted))

    async def _held(self, timeline: int) -> frozenset[WalChunk]:
        """What all stores together hold of it, listed once: a year of shipping is millions of names."""
        if timeline not in self._listed:
            held = await held_chunks(self._stores, self._fleet, self._identifier, timeline)
            self._listed[timeline] = frozenset().union(*held.values())
        return self._listed[timeline]

    async def _chunk(self, chunk: WalChunk, *, start: Lsn, end: Lsn) -> None:
        async with self._turn:
            key = wal_prefix(self._fleet, self._identifier, chunk.timeline) + chunk.name
            data = await self._object(key)
            if len(data) != chunk.end - chunk.start:
                raise Damaged(f"{key} holds {len(data)} bytes of WAL", where=key)
            low, high = max(start, chunk.start), min(end, chunk.end)
            view = memoryview(data)[low - chunk.start : high - chunk.start]
            await asyncio.to_thread(self._write, chunk.timeline, low, view)

    def _write(self, timeline: int, at: Lsn, data: memoryview) -> None:
        while data:
            first = at // self._segment * self._segment
            taken = min(len(data), first + self._segment - at)
            path = self._into / segment_name(timeline, first, self._segment)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, data[:taken], at - first)
                if os.fstat(descriptor).st_size < self._segment:
                    os.ftruncate(descriptor, self._segment)
            finally:
                os.close(descriptor)
            at, data = at + taken, data[taken:]

    async def _object(self, key: str) -> bytes:
        """From the first store whose copy opens and is signed by a host of ours."""
        said: list[str] = []
        for store in self._stores:
            try:
                ciphertext = await get_small(store, key)
                return await asyncio.to_thread(self._opened, ciphertext, key)
            except FailoverError as error:
                said.append(f"{store.name}: {error}")
        raise Damaged(f"no store has a good copy of {key} ({'; '.join(said)})", where=key)

    def _opened(self, ciphertext: bytes, key: str) -> bytes:
        note, data = expand_noted(ciphertext, keys=self._keys, what=key)
        if self._seals:
            check_note(note, key=key, data=data, trusted=self._seals, what=key)
        return data
