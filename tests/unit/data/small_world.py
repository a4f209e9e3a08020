"""Snapshots of something small, without PostgreSQL: what the pipelines do with bytes."""

from __future__ import annotations

import asyncio
import io
import json
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from failover.data.backup import Order, Outcome, Writer, create
from failover.data.catalog import Catalog, read_catalog
from failover.model.snapshot import Digests, TableDigest
from failover.model.units import Lsn
from failover.ports.snapshot_source import SourceFacts, WalPiece
from failover.trust.age import AgeKey
from failover.trust.seal import SealKey
from tests.fakes.store import RICH, MemoryStore

SEGMENT = 64 * 1024
IDENTIFIER = "7000000000000000001"
NOW = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)


def backup_tar(files: dict[str, bytes]) -> bytes:
    """As pg_basebackup writes it: the file list last."""
    out = io.BytesIO()
    listed = {"WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/10000", "End-LSN": "0/10100"}]}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in {**files, "backup_manifest": json.dumps(listed).encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Bytes:
    """``ByteStream`` from memory; raises ``error`` after ``until`` bytes."""

    def __init__(self, content: bytes, *, until: int | None = None, error: Exception | None = None) -> None:
        self._left = io.BytesIO(content[:until])
        self._error = error

    def read(self, size: int) -> bytes:
        data = self._left.read(size)
        if not data and self._error is not None:
            raise self._error
        return data

    def close(self) -> None:
        return None


class Wal:
    """``WalStream`` of zeros, then idle."""

    def __init__(self, start: Lsn, end: Lsn) -> None:
        self._at, self._end = start, end

    def receive(self, *, max_bytes: int, max_wait_s: float) -> WalPiece | None:
        size = min(max_bytes, self._end - self._at)
        if not size:
            return None
        piece = WalPiece(start=self._at, data=bytes(size), server_end=self._end)
        self._at += size
        return piece

    def acknowledge(self, lsn: Lsn) -> None:
        return None

    def close(self) -> None:
        return None


@dataclass
class SmallSource:
    """``SnapshotSource`` of a few files."""

    files: dict[str, bytes]
    stream: Bytes | None = None
    quiet: bool = True
    asked: list[bytes] = field(default_factory=list)

    def facts(self) -> SourceFacts:
        return SourceFacts(
            system_identifier=IDENTIFIER, timeline=1, recovering=True, position=0x10100, version="18.6",
            wal_segment_bytes=SEGMENT,
        )  # fmt: skip

    def backup(self, *, parent_list: bytes) -> Bytes:
        self.asked.append(parent_list)
        return self.stream or Bytes(backup_tar(self.files))

    def digests(self) -> tuple[Digests, ...]:
        found = Digests(database="app", lsn="0/10200", tables=(TableDigest(table="t", rows=1, digest="1"),))
        return (found,) if self.quiet else ()

    def wal(self, *, timeline: int, start: Lsn, slot: str = "") -> Wal:
        return Wal(start, 0x10400)

    def history(self, timeline: int) -> bytes:
        return b""

    def ensure_slot(self, slot: str) -> Lsn | None:
        return 0x10000

    def advance_slot(self, slot: str, lsn: Lsn) -> None:
        return None

    def drop_slot(self, slot: str) -> None:
        return None


class SmallWorld:
    """Two stores, two keys, and a source."""

    def __init__(self, seal: SealKey, sites: Sequence[str] = ("alpha", "beta")) -> None:
        self.keys = [AgeKey.new(), AgeKey.new()]
        self.seal = seal
        traits = {site: msgspec.structs.replace(RICH, provider=site) for site in sites}
        self.stores = [MemoryStore(name=f"s-{site}", traits=traits[site], chunk_bytes=3000) for site in sites]
        self.source = SmallSource({"PG_VERSION": b"18\n", "base/1/2": random.Random(1).randbytes(20000)})

    def take(self, *, parent: str = "") -> Outcome:
        kind = "incremental" if parent else "full"
        order = Order(kind=kind, parent=parent, parent_list=b"list" if parent else b"", site="beta", now=NOW)
        writer = Writer(
            fleet="shop", recipients=tuple(key.public for key in self.keys), seal=self.seal,
            stores=tuple(self.stores), stall_s=5.0,
        )  # fmt: skip
        return asyncio.run(create(self.source, order, writer))

    def catalog(self) -> Catalog:
        return asyncio.run(
            read_catalog(self.stores, fleet="shop", system_identifier=IDENTIFIER, trusted=[self.seal.public])
        )
