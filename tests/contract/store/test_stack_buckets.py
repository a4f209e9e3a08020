"""The buckets of the local provider's stacks, on the stores that its sites run: adopted, never somebody else's, and
never emptied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.local.plugin import bucket
from tests.contract.store.conftest import new_bucket
from tests.contract.store.faulty import FaultyStore, Spoil
from tests.contract.store.servers import KEY, free_ports

pytestmark = pytest.mark.long

Inputs = dict[str, Any]


@pytest.fixture(params=["seaweedfs", "rclone"])
def inputs(request: pytest.FixtureRequest, servers: Callable[[str], str], tmp_path: Path) -> Inputs:
    return {
        "site": "alpha",
        "hostDir": str(tmp_path),
        "bucket": new_bucket(),
        "kind": request.param,
        "endpoint": f"http://{servers(request.param)}",
        "region": "us-east-1",
        "accessKey": KEY.access_key,
        "secretKey": KEY.secret.reveal(),
    }


def raw(at: Inputs) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=at["endpoint"],
        region_name=at["region"],
        aws_access_key_id=at["accessKey"],
        aws_secret_access_key=at["secretKey"],
    )


def test_made_once_looked_for_and_removed(inputs: Inputs) -> None:
    assert not bucket.exists(inputs)
    assert bucket.create(inputs) == f"{inputs['bucket']}@alpha"
    assert bucket.create(inputs) == f"{inputs['bucket']}@alpha", "adopted"
    assert bucket.exists(inputs)
    assert bucket.remove(inputs)
    assert not bucket.exists(inputs)
    assert not bucket.remove(inputs), "repeatable"


def test_what_holds_something_stays(inputs: Inputs) -> None:
    bucket.create(inputs)
    raw(inputs).put_object(Bucket=inputs["bucket"], Key="snapshot", Body=b"kept")
    assert not bucket.remove(inputs)
    assert raw(inputs).get_object(Bucket=inputs["bucket"], Key="snapshot")["Body"].read() == b"kept"
    raw(inputs).delete_object(Bucket=inputs["bucket"], Key="snapshot")
    # The rich store keeps the older version, and so its bucket.
    assert bucket.remove(inputs) == (inputs["kind"] == "rclone")


def test_somebody_elses_is_refused_and_a_lost_answer_is_ours(inputs: Inputs) -> None:
    with FaultyStore(inputs["endpoint"].removeprefix("http://")) as proxy:
        there = {**inputs, "endpoint": f"http://{proxy.address}"}
        proxy.spoil = Spoil(status=409, code="BucketAlreadyExists", method="PUT", times=1)
        with pytest.raises(bucket.BucketProblem, match=r"somebody else.*another bucket in the fleet file"):
            bucket.create(there)
        bucket.create(inputs)
        # Made by a run that was killed before it heard of it: the first look still missed it.
        proxy.spoil = Spoil(status=409, code="BucketAlreadyOwnedByYou", method="PUT", times=0)
        assert bucket.create(there)


def test_silence_and_a_wrong_key_never_lose_a_bucket(inputs: Inputs) -> None:
    bucket.create(inputs)
    nobody = {**inputs, "endpoint": f"http://127.0.0.1:{free_ports(1)[0]}"}
    stranger = {**inputs, "accessKey": "strangeraccesskey", "secretKey": "somebody else's"}
    with pytest.raises(bucket.BucketProblem, match="does not answer"):
        bucket.create(nobody)
    with pytest.raises(bucket.BucketProblem, match="refuses our key") as told:
        bucket.create(stranger)
    assert "somebody else" not in str(told.value), "no secret in a message"
    for at in (nobody, stranger):
        assert bucket.exists(at), "who cannot be asked may have it still"
        assert not bucket.remove(at)
    assert bucket.exists(inputs)
