"""A fleet in memory whose database is a few files, with a memory store at each of two providers: for everything above
the byte pipelines. ``SmallScratch`` looks at restored files instead of starting PostgreSQL."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from failover.errors import Damaged, Unreachable
from failover.model.snapshot import TableDigest
from failover.model.stores import SnapshotRules, StorePlace
from failover.model.units import Lsn
from failover.ports.scratch import Arrival
from failover.ports.snapshot_source import SourceFacts
from failover.trust.age import AgeKey
from failover.trust.ca import write_private
from tests.fakes.hosts import SYSTEM, fleet
from tests.fakes.store import RICH, MemoryStore
from tests.fakes.wired import Memory, memory
from tests.unit.data.small_world import SEGMENT, SmallSource

FILES = {"PG_VERSION": b"18\n", "base/1/2": random.Random(1).randbytes(20000), "pg_wal/first": b"wal"}


@dataclass
class SiteSource(SmallSource):
    """One site's database; ``dead`` does not answer, ``slot``-less and quiet."""

    recovering: bool = False
    dead: bool = False

    def facts(self) -> SourceFacts:
        if self.dead:
            raise Unreachable("PostgreSQL did not answer")
        return SourceFacts(
            system_identifier=SYSTEM, timeline=1, recovering=self.recovering, position=0x10100, version="18.6",
            wal_segment_bytes=SEGMENT, summaries_from=1, size_bytes=30_000,
        )  # fmt: skip


@dataclass
class SmallScratch:
    """Implements ``Scratch`` on files. ``rows`` is what a restored database is said to hold."""

    rows: int = 1
    arrivals: list[Arrival] = field(default_factory=list)
    swept: list[Path] = field(default_factory=list)

    def verify_files(self, folder: Path) -> None:
        if not (folder / "PG_VERSION").exists():
            raise Damaged(f"{folder.name} has no PG_VERSION")

    def combine(self, folders: Sequence[Path], into: Path) -> None:
        for one in folders:
            shutil.copytree(one, into, dirs_exist_ok=True)

    def recover(self, folder: Path, *, arrival: Arrival, wal: Path | None, lasting: bool) -> None:
        self.arrivals.append(arrival)

    def last_record(self, wal: Path, *, timeline: int, start: Lsn) -> Lsn:
        return start

    def first_end_after(self, wal: Path, *, timeline: int, start: Lsn, moment: datetime) -> Lsn:
        return start + 8 if moment.year == 2026 else 0

    def check_structure(self, database: str) -> None:
        return None

    def digests(self, database: str) -> tuple[TableDigest, ...]:
        return (TableDigest(table="t", rows=self.rows, digest="1"),)

    def sweep(self, folder: Path) -> None:
        self.swept.append(folder)

    def stop(self) -> None:
        return None


@dataclass
class Stored:
    """A fleet with stores."""

    memory: Memory
    stores: list[MemoryStore]
    keys: list[AgeKey]
    sources: dict[str, SiteSource]
    scratch: SmallScratch
    folder: Path

    def key_file(self, index: int, path: Path) -> Path:
        """One of the private keys in a file."""
        write_private(path, f"# a key\n{self.keys[index].secret.reveal()}\n")
        return path


def rules(keys: Sequence[AgeKey]) -> SnapshotRules:
    return SnapshotRules(recipients=tuple(key.public for key in keys))


def stored(folder: Path, *, providers: Sequence[str] = ("north", "south")) -> Stored:
    """alpha is primary, beta its standby; a store at each one's provider; both keys in ``keys/``."""
    keys = [AgeKey.new(), AgeKey.new()]
    stores = [
        MemoryStore(name=f"s-{name}", traits=msgspec.structs.replace(RICH, provider=name), chunk_bytes=3000)
        for name in providers
    ]
    places = tuple(
        StorePlace(name=store.name, provider=name, kind="s3", endpoint=f"https://{name}.test", bucket="demo")
        for store, name in zip(stores, providers, strict=True)
    )
    declared = msgspec.structs.replace(fleet(), stores=places, snapshots=rules(keys))
    sources = {
        site.name: SiteSource(dict(FILES), recovering=site.name != "alpha") for site in declared.data_sites
    }
    scratch = SmallScratch()
    found = memory(
        folder, declared=declared, stores=tuple(stores), source=lambda site, _primary: sources[site],
        scratch=lambda: scratch,
    )  # fmt: skip
    world = Stored(memory=found, stores=stores, keys=keys, sources=sources, scratch=scratch, folder=folder)
    for index in range(len(keys)):
        world.key_file(index, folder / "keys" / f"k{index}.key")
    return world


