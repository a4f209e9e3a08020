"""The keys with which hosts sign the WAL they ship: one per site, derived from the operator's own.

A host that is stolen can sign WAL, never a manifest; and whoever has the trust folder knows every host's key without
asking a host.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from failover.model.secret import Secret
from failover.trust.seal import SealKey

SEAL = "seal.key"
"""The operator's own, in the trust folder."""


def load_wal_seals(folder: Path, sites: Iterable[str]) -> dict[str, Secret]:
    """By site; empty while there is no key of the operator's to derive them from."""
    path = folder / SEAL
    if not path.is_file():
        return {}
    own = SealKey.at(path)
    return {site: own.derived(f"wal of {site}") for site in sites}
