"""Takes a snapshot: one stream from PostgreSQL, squeezed and encrypted once, the same bytes to every store.

Never the whole on disk or in memory. A store that fails is reported and the others go on. The signed manifest comes
last; until two providers' stores have it, what is there counts for nothing and is an orphan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from failover.data.fan import Fan
from failover.data.small import put_small
from failover.data.squeeze import Reads, squeeze, squeeze_bytes
from failover.data.tar_watch import TarWatch
from failover.data.wal_tar import FromChunks, wal_tar
from failover.errors import Damaged, FailoverError, Unreachable
from failover.model import snapshot as names
from failover.model.snapshot import QUORUM, Digests, Kind, Manifest, SnapshotObject
from failover.model.units import parse_lsn, utc_text
from failover.model.version import VERSION
from failover.ports.snapshot_source import SnapshotSource, SourceFacts
from failover.ports.store import Store
from failover.trust.age import check_recipients
from failover.trust.seal import SealKey

Progress = Callable[[int], None]
"""Called with the plain bytes read so far, from a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """What all snapshots of a fleet are written with. It holds no key that opens one."""

    fleet: str
    recipients: tuple[str, ...]
    seal: SealKey
    stores: tuple[Store, ...]
    stall_s: float = 30.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the planner chose. ``parent_list``: the file list (plain) of the parent's backup."""

    kind: Kind
    parent: str = ""
    parent_list: bytes = b""
    site: str
    why: tuple[str, ...] = ()
    now: datetime
    run: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``stores`` have the snapshot whole; ``failed`` do not, with the reason; ``file_list`` is what the next
    incremental is taken against, kept where it is taken."""

    manifest: Manifest
    stores: tuple[str, ...]
    failed: dict[str, str]
    file_list: bytes
    counts: bool


class _Range(msgspec.Struct, frozen=True):
    timeline: int = msgspec.field(name="Timeline")
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class _FileList(msgspec.Struct, frozen=True):
    ranges: list[_Range] = msgspec.field(name="WAL-Ranges")


async def create(
    source: SnapshotSource,
    order: Order,
    writer: Writer,
    *,
    progress: Progress | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Outcome:
    """The snapshot, in as many stores as took it. Raises ``Unreachable`` when the server or every store failed."""
    check_recipients(writer.recipients)
    facts = await asyncio.to_thread(source.facts)
    identity = names.new_id(order.now)
    prefix = names.snapshot_prefix(writer.fleet, facts.system_identifier, order.kind, identity)
    sending = _Sending(prefix, writer)
    data, file_list = await _base(source, order, sending, progress)
    last = _last_range(file_list)
    objects = [data, await sending.small(file_list, names.FILE_LIST)]
    digests, tail, doubt = await _tail(source, facts, last, sending)
    manifest = Manifest(
        id=identity,
        fleet=writer.fleet,
        kind=order.kind,
        parent=order.parent,
        why=(*order.why, *doubt),
        system_identifier=facts.system_identifier,
        timeline=last.timeline,
        start_lsn=last.start,
        stop_lsn=last.end,
        lsn=digests[0].lsn if digests else last.end,
        created_at=utc_text(order.now),
        taken_from=order.site,
        versions={"failover": VERSION, "postgresql": facts.version},
        wal_segment_bytes=facts.wal_segment_bytes,
        encrypted_to=writer.recipients,
        objects=(*objects, *tail),
        digests=digests,
        finished_at=utc_text(clock() if clock is not None else order.now),
        run=order.run,
    )
    await sending.put_all(names.MANIFEST, writer.seal.seal(msgspec.json.encode(manifest)))
    whole = [store for store in writer.stores if store.name not in sending.failed]
    return Outcome(
        manifest=manifest,
        stores=tuple(store.name for store in whole),
        failed={name: str(error) for name, error in sending.failed.items()},
        file_list=file_list,
        counts=len({store.traits.provider for store in whole}) >= QUORUM,
    )


class _Sending:
    """Objects of one snapshot to the stores that have all of the earlier ones."""

    def __init__(self, prefix: str, writer: Writer) -> None:
        self._prefix = prefix
        self._writer = writer
        self.failed: dict[str, FailoverError] = {}

    @property
    def live(self) -> list[Store]:
        return [store for store in self._writer.stores if store.name not in self.failed]

    async def stream(self, reads: Reads, name: str, *, watch: Callable[[bytes], None] | None = None) -> SnapshotObject:
        """One object from a stream."""
        loop = asyncio.get_running_loop()
        fan = Fan(self.live, self._prefix + name, stall_s=self._writer.stall_s)

        def push(chunk: bytes) -> None:
            asyncio.run_coroutine_threadsafe(fan.write(chunk), loop).result()

        try:
            stored = await asyncio.to_thread(
                squeeze, reads, push, name=name, recipients=self._writer.recipients, watch=watch
            )
        except BaseException:
            await fan.abort()
            raise
        self.failed |= await fan.finish()
        return stored

    async def small(self, content: bytes, name: str) -> SnapshotObject:
        """One object from memory."""
        stored, body = await asyncio.to_thread(squeeze_bytes, content, name=name, recipients=self._writer.recipients)
        await self.put_all(name, body)
        return stored

    async def put_all(self, name: str, body: bytes) -> None:
        """Exactly these bytes."""
        stores = self.live
        if not stores:
            said = "; ".join(f"{store}: {error}" for store, error in self.failed.items())
            raise Unreachable(f"no store has the whole of it: {said}")
        errors = await asyncio.gather(*(put_small(store, self._prefix + name, body) for store in stores))
        self.failed |= {store.name: error for store, error in zip(stores, errors, strict=True) if error is not None}


async def _base(
    source: SnapshotSource, order: Order, sending: _Sending, progress: Progress | None
) -> tuple[SnapshotObject, bytes]:
    """The backup itself, and its file list, picked out as it passes."""
    watch = TarWatch("backup_manifest")
    seen = 0

    def look(data: bytes) -> None:
        nonlocal seen
        watch.feed(data)
        seen += len(data)
        if progress is not None:
            progress(seen)

    stream = await asyncio.to_thread(source.backup, parent_list=order.parent_list)
    try:
        stored = await sending.stream(stream, names.DATA, watch=look)
    finally:
        await asyncio.to_thread(stream.close)
    if not watch.between or not watch.kept:
        raise Damaged("the backup came without its file list")
    return stored, bytes(watch.kept)


def _last_range(file_list: bytes) -> _Range:
    ranges = msgspec.json.decode(file_list, type=_FileList).ranges
    newest = max(ranges, key=lambda each: each.timeline)
    first = min(ranges, key=lambda each: parse_lsn(each.start))
    return _Range(newest.timeline, first.start, newest.end)


async def _tail(
    source: SnapshotSource, facts: SourceFacts, last: _Range, sending: _Sending
) -> tuple[tuple[Digests, ...], tuple[SnapshotObject, ...], Sequence[str]]:
    """Digests at an LSN after the backup, with the WAL up to it. Without them the snapshot is good all the same; the
    reason is then in its manifest."""
    try:
        digests = await asyncio.to_thread(source.digests)
        if not digests:
            return (), (), ("no digests: no exact view of the database could be had",)
        start = parse_lsn(last.end) // facts.wal_segment_bytes * facts.wal_segment_bytes
        stream = await asyncio.to_thread(source.wal, timeline=last.timeline, start=start)
    except Unreachable as error:
        return (), (), (f"no digests: {error}",)
    try:
        chunks = wal_tar(
            stream,
            timeline=last.timeline,
            start=start,
            beyond=max(parse_lsn(each.lsn) for each in digests),
            segment_bytes=facts.wal_segment_bytes,
        )
        stored = await sending.stream(FromChunks(chunks), names.WAL_TAIL)
    except Unreachable as error:
        if not sending.live:
            raise
        return (), (), (f"no digests: {error}",)
    finally:
        await asyncio.to_thread(stream.close)
    return digests, (stored,), ()
