"""A site's bucket as a resource of its stack: made when its store is there, kept while it is away, never emptied."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from failover.adapters.programs import command_line
from failover.model.secret import Secret
from failover.model.store_ports import store_ports
from failover.model.stores import StoreKey, StorePlace
from failover.planner.hostspec_store import store_service
from failover.ports.provisioner import SiteRequest
from infra.local.plugin import bucket
from tests.contract.store.servers import KEY, started
from tests.infra.pulumi.fleets import DEADLINE_S, StackFleet, ignore

pytestmark = [
    pytest.mark.timeout(300),  # a dozen runs of the engine, on a machine that may be busy
    pytest.mark.long,
]

NEW_KEY = StoreKey(access_key="anotheraccesskey", secret=Secret("another secret of the stacks"))
READY_S = 60.0


def request(fleet: StackFleet, *, key: StoreKey = KEY, before_store: bool = False) -> SiteRequest:
    plain = fleet.request("gamma")
    place = StorePlace(
        name="west",
        provider="west",
        kind="rclone",
        endpoint=f"http://{plain.site.address}:{store_ports(plain.site.address).s3}",
        bucket="stack-bucket",
        site="gamma",
    )
    return msgspec.structs.replace(plain, store=place, store_key=key, before_store=before_store)


@contextlib.contextmanager
def store(fleet: StackFleet, folder: Path, key: StoreKey = KEY) -> Iterator[None]:
    """The store of the site, as its agent would run it."""
    site = fleet.request("gamma").site
    spec = store_service(site, "rclone", key)
    (folder / "store" / "rclone").mkdir(parents=True, exist_ok=True)
    words, extra = command_line(spec.command, as_database=False)
    with started([word.replace("{host}", str(folder)) for word in words], {**extra, **spec.environment}, folder):
        until = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection((site.address, store_ports(site.address).s3)):
                break
            assert time.monotonic() < until, (folder / "log").read_text(errors="replace")
            time.sleep(0.05)
        yield


def inputs(asked: SiteRequest) -> dict[str, str]:
    place, key = asked.store, asked.store_key
    assert place is not None and key is not None
    return {
        "site": "gamma", "bucket": place.bucket, "kind": place.kind, "endpoint": place.endpoint, "region": place.region,
        "accessKey": key.access_key, "secretKey": key.secret.reveal(),
    }  # fmt: skip


def test_a_bucket_waits_for_its_store_outlives_its_silence_and_changes_its_key(
    fleet: StackFleet, tmp_path: Path
) -> None:
    def kinds(asked: SiteRequest) -> dict[str, str]:
        changes = fleet.provisioner.preview(asked, deadline_s=DEADLINE_S).changes
        return {change.resource: change.operation for change in changes}

    def up(asked: SiteRequest) -> int:
        return fleet.provisioner.up(asked, progress=ignore, deadline_s=DEADLINE_S).changed

    assert kinds(request(fleet)) == {"Host gamma": "create", "Bucket gamma-bucket": "create"}
    assert up(request(fleet, before_store=True)) == 1, "the host alone: nobody could make the bucket yet"
    folder = tmp_path / "store-of-gamma"
    folder.mkdir()
    with store(fleet, folder):
        assert up(request(fleet)) == 1
        assert bucket.exists(inputs(request(fleet)))
        assert up(request(fleet)) == 0
        assert up(request(fleet, before_store=True)) == 0, "it has its bucket, whatever the store does"
        (folder / "store" / "rclone" / "stack-bucket" / "snapshot").write_bytes(b"kept")
    # The store is away: nothing is known of the bucket, so nothing is done about it.
    assert up(request(fleet, before_store=True)) == 0
    assert kinds(request(fleet)) == {"Host gamma": "same", "Bucket gamma-bucket": "same"}
    with store(fleet, folder, NEW_KEY):
        assert kinds(request(fleet, key=NEW_KEY)) == {"Host gamma": "same", "Bucket gamma-bucket": "update"}
        assert up(request(fleet, key=NEW_KEY)) == 1
        state = b"".join(path.read_bytes() for path in fleet.state.rglob("*.json"))
        assert all(key.secret.reveal().encode() not in state for key in (KEY, NEW_KEY))
        assert fleet.provisioner.destroy(request(fleet, key=NEW_KEY), progress=ignore, deadline_s=DEADLINE_S) == 2
    assert (folder / "store" / "rclone" / "stack-bucket" / "snapshot").read_bytes() == b"kept"
