"""The keys of the object stores. Those of stores that a site runs are made here; a provider's own store gives its key
once, into the trust folder or the environment.

Two files each, ``store_access_key.NAME`` and ``store_secret_key.NAME``; for CI also two variables,
``FAILOVER_STORE_ACCESS_KEY_NAME`` and ``FAILOVER_STORE_SECRET_KEY_NAME`` (capitals, ``_`` for ``-``), which win.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from failover.errors import UsageError
from failover.model.secret import FleetSecrets, Secret, StoreKey
from failover.model.stores import StorePlace
from failover.trust.ca import write_private
from failover.trust.seal import SealKey
from failover.trust.wal_seals import SEAL

_ACCESS, _SECRET = "store_access_key", "store_secret_key"


def create_store_keys(folder: Path, stores: Sequence[StorePlace]) -> None:
    """Make what is missing of those that sites run, and the key that signs what is put there; what exists is never
    changed."""
    if stores:
        SealKey.at(folder / SEAL)
    for store in stores:
        if not store.site:
            continue
        made = {_ACCESS: secrets.token_hex(10).upper(), _SECRET: secrets.token_urlsafe(32)}
        for kind, value in made.items():
            path = folder / f"{kind}.{store.name}"
            if not path.exists():
                write_private(path, value)


def load_store_keys(
    folder: Path, stores: Sequence[StorePlace], environment: Mapping[str, str] = os.environ
) -> dict[str, StoreKey]:
    """By name of the store; one whose key is not here as a whole is left out."""
    keys: dict[str, StoreKey] = {}
    for store in stores:
        access, secret = (_read(folder, kind, store.name, environment) for kind in (_ACCESS, _SECRET))
        if access and secret:
            keys[store.name] = StoreKey(access_key=access, secret=Secret(secret))
    return keys


def require_store_keys(folder: Path, stores: Sequence[StorePlace], known: FleetSecrets) -> dict[str, StoreKey]:
    """The key of every store. Raises ``UsageError`` naming all whose key is not here."""
    missing = [store for store in stores if store.name not in known.store_keys]
    if missing:
        names = ", ".join(store.name for store in missing)
        own = next((store for store in missing if not store.site), None)
        hint = _hint(folder, own.name) if own else "failover deploy makes the keys of stores that sites run"
        raise UsageError(f"no key here for store {names}", hint=hint)
    return known.store_keys


def _read(folder: Path, kind: str, name: str, environment: Mapping[str, str]) -> str:
    given = environment.get(f"FAILOVER_{kind}_{name}".upper().replace("-", "_"), "").strip()
    path = folder / f"{kind}.{name}"
    return given or (path.read_text(encoding="utf-8").strip() if path.is_file() else "")


def _hint(folder: Path, name: str) -> str:
    return f"write the key its provider gave you into {folder}/{_ACCESS}.{name} and {folder}/{_SECRET}.{name}"
