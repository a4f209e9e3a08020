"""The fleet's secrets: made once by ``init``, kept below ``trust/`` (0700 / 0600), read where they are used.

One file per secret, so that a person can put one back by hand on the worst day and a program can be handed a path
instead of a value.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from failover.errors import UsageError
from failover.model.secret import FleetSecrets, Secret
from failover.model.stores import StorePlace
from failover.trust.ca import write_private
from failover.trust.store_keys import load_store_keys
from failover.trust.wal_seals import load_wal_seals

_PLAIN = ("app_password", "replication_password", "keeper_password", "pulumi_passphrase")


def passphrase_file(folder: Path) -> Path:
    """The Pulumi passphrase, as PULUMI_CONFIG_PASSPHRASE_FILE wants it."""
    return folder / "pulumi_passphrase"


def create_secrets(folder: Path, *, sites: Iterable[str], dns_sites: Iterable[str]) -> None:
    """Make what is missing; what exists is never changed (a changed passphrase would lock the state for ever)."""
    names = [*_PLAIN, *(f"dns_api_key.{site}" for site in dns_sites), *(f"bootstrap_token.{site}" for site in sites)]
    for name in names:
        path = folder / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))


def load_secrets(
    folder: Path, *, sites: Iterable[str], dns_sites: Iterable[str], stores: Sequence[StorePlace] = ()
) -> FleetSecrets:
    """All of them. Raises ``UsageError`` naming every missing file at once; a store's key may be missing (no move
    needs one) and is asked for where it is used."""
    dns_names, site_names = list(dns_sites), list(sites)
    wanted = [*_PLAIN, *(f"dns_api_key.{s}" for s in dns_names), *(f"bootstrap_token.{s}" for s in site_names)]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"secrets are missing in {folder}: {', '.join(missing)}",
            hint="failover init makes them once; otherwise restore trust/ from its copy",
        )

    def read(name: str) -> Secret:
        return Secret((folder / name).read_text(encoding="utf-8").strip())

    return FleetSecrets(
        app_password=read("app_password"),
        replication_password=read("replication_password"),
        keeper_password=read("keeper_password"),
        dns_api_keys={site: read(f"dns_api_key.{site}") for site in dns_names},
        bootstrap_tokens={site: read(f"bootstrap_token.{site}") for site in site_names},
        pulumi_passphrase=read("pulumi_passphrase"),
        store_keys=load_store_keys(folder, stores),
        wal_seals=load_wal_seals(folder, site_names) if stores else {},
    )
