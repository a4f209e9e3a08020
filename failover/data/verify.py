"""Verify is restore: from one store, to the exact LSN, with every check of PostgreSQL's, compared with the source."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from failover.data.catalog import Entry
from failover.data.further import Reader
from failover.data.restore import Phase, restore
from failover.data.small import get_small, put_small
from failover.errors import Damaged, Denied, FailoverError
from failover.model.snapshot import FILE_LIST, VERIFIED, Digests, Verification
from failover.model.units import utc_text
from failover.ports.scratch import Scratch
from failover.ports.store import Store
from failover.trust.age import AgeKey, refusals
from failover.trust.seal import SealKey


async def verify(
    chain: Sequence[Entry],
    reader: Reader,
    scratch: Scratch,
    *,
    site: str,
    databases: Sequence[str],
    folder: Path,
    now: Callable[[], datetime],
    phase: Phase | None = None,
) -> Verification:
    """Restores below ``folder``, looks, and removes it again. Raises ``Damaged`` when anything is not as it was."""
    entry, store = chain[-1], reader.stores[0]
    began_s = time.monotonic()
    checks = [await open_with_each(entry, store, reader.keys)]
    rows, tables = 0, 0

    def look() -> None:
        nonlocal rows, tables
        for database in databases:
            scratch.check_structure(database)
        checks.append("amcheck with heapallindexed")
        for expected in entry.manifest.digests:
            rows, tables = rows + _compare(expected, scratch), tables + len(expected.tables)
        if entry.manifest.digests:
            checks.append(f"row digests of {tables} tables at {entry.manifest.lsn}")

    with tempfile.TemporaryDirectory(prefix="verify-", dir=folder) as place:
        into = Path(place) / "copy"
        restored = await restore(chain, reader, scratch, into, lasting=False, phase=phase, look=look)
    checks[1:1] = ["sha256 of every object", "pg_verifybackup", f"replay to {restored.lsn}"]
    return Verification(
        id=entry.manifest.id,
        at=utc_text(now()),
        site=site,
        store=store.name,
        lsn=restored.lsn,
        seconds=round(time.monotonic() - began_s, 3),
        rows=rows,
        tables=tables,
        checks=tuple(checks),
    )


async def publish(
    proof: Verification, entry: Entry, seal: SealKey, stores: Sequence[Store]
) -> dict[str, FailoverError]:
    """Beside the snapshot in every store, signed; the stores that did not take it."""
    key = f"{entry.manifest.prefix}{VERIFIED}-{proof.site}.json"
    raw = seal.seal(msgspec.json.encode(proof))
    errors = await asyncio.gather(*(put_small(store, key, raw) for store in stores))
    return {store.name: error for store, error in zip(stores, errors, strict=True) if error is not None}


async def open_with_each(entry: Entry, store: Store, keys: Sequence[AgeKey]) -> str:
    """Every key at hand opens the snapshot alone. Raises ``Denied`` naming those that do not."""
    ciphertext = await get_small(store, entry.manifest.prefix + FILE_LIST)
    strangers = [key.public for key in keys if key.public not in entry.manifest.encrypted_to]
    if strangers:
        raise Denied(f"{entry.manifest.id} is not encrypted to {', '.join(strangers)}")
    wanted = entry.manifest.object(FILE_LIST)
    assert wanted is not None
    # Damage is named by the restore itself.
    if len(ciphertext) == wanted.size_bytes and hashlib.sha256(ciphertext).hexdigest() == wanted.sha256:
        refused = await asyncio.to_thread(refusals, ciphertext, keys)
        if refused:
            public, error = next(iter(refused.items()))
            raise Denied(f"{public} alone does not open {entry.manifest.id}: {error.message}") from error
    return f"opens with each of {len(keys)} of {len(entry.manifest.encrypted_to)} recipients alone"


def _compare(expected: Digests, scratch: Scratch) -> int:
    found = {digest.table: digest for digest in scratch.digests(expected.database)}
    wanted = {digest.table: digest for digest in expected.tables}
    different = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if different:
        raise Damaged(f"restored content differs from the source at {expected.lsn}: {', '.join(different)}")
    return sum(digest.rows for digest in expected.tables)
