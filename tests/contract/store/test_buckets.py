"""Making buckets: repeatable, versioned and locked where the store can, and never somebody else's."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from failover.adapters.store_s3 import S3Store, traits_of
from failover.adapters.store_s3_bucket import S3Bucket
from failover.errors import Denied, Unreachable, UsageError
from failover.model.secret import Secret
from failover.model.stores import StoreKey, StorePlace
from tests.contract.store.conftest import KINDS, new_bucket
from tests.contract.store.faulty import FaultyStore, Spoil
from tests.contract.store.servers import KEY, free_ports, place

WAIT_S = 30.0


@pytest.fixture(params=list(KINDS))
def where(request: pytest.FixtureRequest, servers: Callable[[str], str]) -> StorePlace:
    return place(KINDS[request.param], servers(request.param), new_bucket())


def raw(at: StorePlace) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=at.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY.access_key,
        aws_secret_access_key=KEY.secret.reveal(),
    )


def test_a_bucket_is_made_once(where: StorePlace) -> None:
    bucket = S3Bucket(where, KEY, deadline_s=WAIT_S)
    assert not bucket.is_ours()
    assert bucket.ensure()
    assert not bucket.ensure()
    assert bucket.is_ours()
    if traits_of(where.kind, where.provider).versioning:
        assert raw(where).get_bucket_versioning(Bucket=where.bucket)["Status"] == "Enabled"


def test_a_lock_holds_what_was_written(servers: Callable[[str], str]) -> None:
    at = place("seaweedfs", servers("seaweedfs"), new_bucket())
    S3Bucket(at, KEY, deadline_s=WAIT_S).ensure(lock_days=1)
    asyncio.run(S3Store(at, KEY).put("k", b"kept", deadline_s=WAIT_S))
    asyncio.run(S3Store(at, KEY).delete("k", deadline_s=WAIT_S))  # a marker; the content stays below it
    versions = raw(at).list_object_versions(Bucket=at.bucket)["Versions"]
    assert len(versions) == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        raw(at).delete_object(Bucket=at.bucket, Key="k", VersionId=versions[0]["VersionId"])
    kept = raw(at).get_object(Bucket=at.bucket, Key="k", VersionId=versions[0]["VersionId"])
    assert kept["Body"].read() == b"kept"


def test_a_lock_is_refused_where_there_is_none(servers: Callable[[str], str]) -> None:
    bucket = S3Bucket(place("rclone", servers("rclone"), new_bucket()), KEY, deadline_s=WAIT_S)
    with pytest.raises(UsageError, match="lock"):
        bucket.ensure(lock_days=1)
    assert not bucket.is_ours()


def test_somebody_elses_bucket_is_never_ours(where: StorePlace) -> None:
    with FaultyStore(where.endpoint.removeprefix("http://")) as proxy:
        proxy.spoil = Spoil(status=409, code="BucketAlreadyExists", method="PUT", times=-1)
        bucket = S3Bucket(place(where.kind, proxy.address, where.bucket), KEY, deadline_s=WAIT_S)
        with pytest.raises(Denied, match="somebody else") as told:
            bucket.ensure()
        assert proxy.spoilt == 1
    assert "fleet file" in told.value.hint


def test_parts_that_nobody_finishes_are_dropped(where: StorePlace) -> None:
    bucket = S3Bucket(where, KEY, deadline_s=WAIT_S)
    bucket.ensure()
    raw(where).create_multipart_upload(Bucket=where.bucket, Key="left")
    assert bucket.end_uploads() == 1
    assert bucket.end_uploads() == 0


def test_silence_and_a_wrong_key(servers: Callable[[str], str]) -> None:
    nobody = place("s3", f"127.0.0.1:{free_ports(1)[0]}", "nobody")
    with pytest.raises(Unreachable):
        S3Bucket(nobody, KEY, deadline_s=WAIT_S).ensure()
    at = place("rclone", servers("rclone"), new_bucket())
    stranger = StoreKey(access_key="strangeraccesskey", secret=Secret("somebody else's"))
    with pytest.raises(Denied):
        S3Bucket(at, stranger, deadline_s=WAIT_S).ensure()
    assert not S3Bucket(at, KEY, deadline_s=WAIT_S).is_ours()


def test_no_key_stands_in_a_process_list(servers: Callable[[str], str]) -> None:
    for name in KINDS:
        servers(name)
    seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "rclone serve s3" in seen
    assert KEY.secret.reveal() not in seen
    assert os.environ.get("RCLONE_AUTH_KEY") is None
