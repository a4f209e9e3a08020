"""Keys of stores: made once for those of our sites, given for a provider's own, never needed to move a fleet."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from failover.errors import UsageError
from failover.model.secret import FleetSecrets, Secret, StoreKey
from failover.model.stores import StorePlace
from failover.trust.seal import SealKey
from failover.trust.secrets import create_secrets, load_secrets
from failover.trust.store_keys import create_store_keys, load_store_keys, require_store_keys

OURS = StorePlace(
    name="north", provider="north", kind="rclone", endpoint="http://127.9.0.1:1", bucket="demo", site="alpha"
)
THEIRS = StorePlace(name="cold-1", provider="east", kind="s3", endpoint="https://s3.east.example", bucket="demo")
STORES = (OURS, THEIRS)


def known(folder: Path) -> FleetSecrets:
    return load_secrets(folder, sites=[], dns_sites=[], stores=STORES)


def test_keys_of_our_own_stores_are_made_once(tmp_path: Path) -> None:
    create_secrets(tmp_path, sites=[], dns_sites=[])
    assert known(tmp_path).store_keys == {}
    create_store_keys(tmp_path, STORES)
    first = known(tmp_path).store_keys
    create_store_keys(tmp_path, STORES)
    assert list(first) == ["north"]
    assert known(tmp_path).store_keys == first
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (*tmp_path.glob("store_*"), tmp_path / "seal.key")}
    assert modes == {0o600}
    assert first["north"].secret.reveal() not in repr(first)


def test_a_missing_key_is_asked_for_by_name_and_only_where_it_is_used(tmp_path: Path) -> None:
    create_secrets(tmp_path, sites=[], dns_sites=[])
    with pytest.raises(UsageError, match="north, cold-1") as refused:
        require_store_keys(tmp_path, STORES, known(tmp_path))
    assert refused.value.hint is not None and "store_secret_key.cold-1" in refused.value.hint
    create_store_keys(tmp_path, STORES)
    (tmp_path / "store_access_key.cold-1").write_text("A\n")
    assert list(known(tmp_path).store_keys) == ["north"], "half a key is none"
    (tmp_path / "store_secret_key.cold-1").write_text("S\n")
    keys = require_store_keys(tmp_path, STORES, known(tmp_path))
    assert keys["cold-1"] == StoreKey(access_key="A", secret=Secret("S"))


def test_the_environment_gives_a_key_and_wins(tmp_path: Path) -> None:
    (tmp_path / "store_access_key.cold-1").write_text("of the file")
    given = {"FAILOVER_STORE_ACCESS_KEY_COLD_1": "A", "FAILOVER_STORE_SECRET_KEY_COLD_1": "S"}
    assert load_store_keys(tmp_path, STORES, given) == {"cold-1": StoreKey(access_key="A", secret=Secret("S"))}
    assert msgspec.structs.fields(StoreKey)[1].name == "secret"


def test_every_host_has_a_key_of_its_own_to_sign_wal_with(tmp_path: Path) -> None:
    create_secrets(tmp_path, sites=["alpha", "beta"], dns_sites=[])

    def seals() -> dict[str, Secret]:
        return load_secrets(tmp_path, sites=["alpha", "beta"], dns_sites=[], stores=STORES).wal_seals

    assert seals() == {}
    create_store_keys(tmp_path, STORES)
    found = seals()
    assert found == seals() and found["alpha"] != found["beta"]
    own = SealKey.at(tmp_path / "seal.key")
    assert own.public not in {SealKey(secret).public for secret in found.values()}
    assert load_secrets(tmp_path, sites=["alpha", "beta"], dns_sites=[]).wal_seals == {}
