"""The stores of a local site: no key in a command, nothing shared between sites, nothing sent to strangers."""

from __future__ import annotations

import msgspec
import pytest

from failover.errors import ConfigError
from failover.model.fleet import Role, Site
from failover.model.secret import Secret
from failover.model.store_ports import StorePorts, store_ports
from failover.model.stores import StoreKey, StoreKind
from failover.planner.hostspec_store import store_service

KEY = StoreKey(access_key="an access key", secret=Secret("the secret of a store"))


def site(address: str, kind: str = "local") -> Site:
    return Site(name="alpha", provider="north", role=Role.DATA, address=address, kind=kind)


def numbers(ports: StorePorts) -> tuple[int, ...]:
    return msgspec.structs.astuple(ports)


def test_no_two_sites_of_a_machine_share_a_port() -> None:
    """Also those of two fleets, whatever their blocks."""
    addresses = [f"127.{block}.0.1" for block in range(1, 256)]
    taken = [number for address in addresses for number in numbers(store_ports(address))]
    taken += [number for last in (2, 3) for number in numbers(store_ports(f"127.85.0.{last}"))]
    assert len(taken) == len(set(taken)) == 8 * 257
    assert min(taken) > 1024
    assert max(taken) < 32_768


@pytest.mark.parametrize("kind", ["seaweedfs", "rclone"])
def test_the_secret_is_in_no_command_and_in_no_repr(kind: StoreKind) -> None:
    spec = store_service(site("127.6.0.1"), kind, KEY)
    assert KEY.secret.reveal() not in " ".join(spec.command)
    assert KEY.secret.reveal() not in repr(spec)
    held = [file for file in spec.files if KEY.secret.reveal() in file.text]
    assert [file.mode for file in held] == ([0o600] if kind == "seaweedfs" else [])
    assert spec == store_service(site("127.6.0.1"), kind, KEY)


def test_nothing_is_told_to_the_makers() -> None:
    assert "-master.telemetry=false" in store_service(site("127.6.0.1"), "seaweedfs", KEY).command


@pytest.mark.parametrize("kind", ["seaweedfs", "rclone"])
def test_it_listens_at_its_site_alone(kind: StoreKind) -> None:
    spec = store_service(site("127.6.0.1"), kind, KEY)
    assert spec.ready is not None
    assert spec.ready.address == "127.6.0.1"
    assert spec.ready.port == store_ports("127.6.0.1").s3
    assert "0.0.0.0" not in " ".join(spec.command)


def test_what_is_no_process_of_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match="store of its own"):
        store_service(site("127.6.0.1", kind="aws"), "seaweedfs", KEY)
    with pytest.raises(ConfigError, match="no program"):
        store_service(site("127.6.0.1"), "s3", KEY)
