"""``snapshot verify``: a restore from one provider's store alone, looked at with everything there is, and proven.

The copy lives on this machine, below the state folder, for as long as the look takes. The proof is signed and put
beside the snapshot in every store; what ``status`` shows of it is kept here as well, so that it asks no store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from failover.data.further import Reader
from failover.data.verify import publish, verify
from failover.errors import UsageError
from failover.model.snapshot_shown import SnapshotShown
from failover.operations.age_keys import need_keys
from failover.operations.proven import keep
from failover.operations.snapshot_open import Phases, alone_in, catalog_of, sites_with_store, stores_from
from failover.operations.snapshot_shelf import candidates_of, read_shelf, rules, seal_key
from failover.operations.snapshot_shown import snapshot_shown
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.planner.snapshot_pick import newest, verify_site
from failover.trust.age import AgeKey


def verify_snapshot(wired: Wired, snapshot: str, site: str, keys: Sequence[Path], watch: Watch) -> SnapshotShown:
    """The snapshot (none named: the newest that counts) from the store of ``site``'s provider (none named: where a
    proof is the oldest). Raises ``Damaged`` with what is wrong and which store still has it right, ``Denied`` for a
    wrong key."""
    rules(wired)
    opens = need_keys(wired, keys)
    catalog = catalog_of(read_shelf(wired), snapshot)
    candidates = candidates_of(catalog)
    if not snapshot and not candidates:
        raise UsageError("no snapshot counts yet: two providers must have it whole", hint="failover snapshot create")
    chosen = newest([one for one in candidates if not snapshot or one.id == snapshot])
    name = snapshot or (chosen.id if chosen is not None else "")
    if not site:
        at = sites_with_store(wired)
        site = verify_site(chosen, at) if chosen is not None else at[0]
    chain = catalog.chain(name)
    strangers = sorted(set(chain[-1].manifest.encrypted_to) - {key.public for key in opens})
    for stranger in strangers:
        watch.note(f"not tried: {stranger}, whose private key is not here")
    stores = stores_from(wired, site)
    reader = Reader(stores=stores, keys=_of(opens, chain[-1].manifest.encrypted_to), strict=True)
    phases = Phases(chain, watch)
    scratch = wired.scratch()
    folder = wired.snapshots_dir / "scratch"
    with alone_in(folder, scratch):
        proof = asyncio.run(
            verify(
                chain, reader, scratch, site=site, databases=(wired.fleet.app.database,), folder=folder,
                now=lambda: datetime.now(UTC), phase=phases,
            )
        )  # fmt: skip
    phases.end()
    keep(wired, proof)
    failed = asyncio.run(publish(proof, chain[-1], seal_key(wired), stores))
    for store, error in failed.items():
        watch.note(f"{store} did not take the proof: {error}")
    entry = msgspec.structs.replace(chain[-1], verified=proof)
    counts = any(one.id == name for one in candidates)
    return snapshot_shown(wired, entry, counts=counts, read_whole=(stores[0].name,))


def _of(keys: tuple[AgeKey, ...], encrypted_to: tuple[str, ...]) -> tuple[AgeKey, ...]:
    """Those the snapshot is encrypted to; all of them when it is none of these, so that the error names them."""
    fitting = tuple(key for key in keys if key.public in encrypted_to)
    return fitting or keys
