"""Bucket on this machine, in the store that a site runs. Imported only where a stack has one: boto3 is slow to load.

Never here: what lies in a bucket. A bucket that is somebody else's is never taken for ours, also where it would let us
write; one that holds anything is never removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from infra.local.plugin.host import HostProblem

WITHIN_S = 10.0
_TAKEN = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}
_GONE = {"NoSuchBucket", "404"}
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"}
_RICH = "seaweedfs"


class BucketProblem(HostProblem):
    """The bucket cannot be made; the text is for the operator and holds no secret."""


def create(inputs: Mapping[str, Any]) -> str:
    """Make the bucket, or adopt it when it is among ours; versioned where the store can. Returns its id.

    Raises ``BucketProblem`` when the store does not answer, refuses the key, or the name is somebody else's.
    """
    client, name = _client(inputs), str(inputs["bucket"])
    with _asking(inputs, "make"):
        if not _is_ours(client, name):
            _make(client, inputs)
        if inputs["kind"] == _RICH:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return f"{name}@{inputs['site']}"


def exists(inputs: Mapping[str, Any]) -> bool:
    """It is among ours. A store that does not answer, or refuses the key it had, may have it still: then it stays."""
    try:
        with _asking(inputs, "look for"):
            return _is_ours(_client(inputs), str(inputs["bucket"]))
    except BucketProblem:
        return True


def remove(inputs: Mapping[str, Any]) -> bool:
    """Remove it when it is empty and its store lets us; otherwise it goes with the host's disk. True when it went."""
    client, name = _client(inputs), str(inputs["bucket"])
    try:
        with _asking(inputs, "remove"):
            if not _is_ours(client, name) or not _is_empty(client, inputs):
                return False
            client.delete_bucket(Bucket=name)
    except BucketProblem:
        return False
    return True


def _make(client: Any, inputs: Mapping[str, Any]) -> None:
    name = str(inputs["bucket"])
    try:
        client.create_bucket(Bucket=name)
    except ClientError as error:
        if _code(error) not in _TAKEN:
            raise
        # Somebody else, or ourselves, killed before we heard of it.
        if not _is_ours(client, name):
            raise BucketProblem(
                f"the bucket {name} at {inputs['endpoint']} belongs to somebody else: give the store of "
                f"{inputs['site']} another bucket in the fleet file"
            ) from error


def _is_ours(client: Any, name: str) -> bool:
    return any(one["Name"] == name for one in client.list_buckets().get("Buckets", []))


def _is_empty(client: Any, inputs: Mapping[str, Any]) -> bool:
    """Also of what was deleted and is kept as an older version. SeaweedFS would remove all of it with the bucket."""
    name = str(inputs["bucket"])
    if client.list_objects_v2(Bucket=name, MaxKeys=1).get("KeyCount", 0):
        return False
    if inputs["kind"] != _RICH:
        return True
    kept = client.list_object_versions(Bucket=name, MaxKeys=1)
    return not kept.get("Versions") and not kept.get("DeleteMarkers")


def _client(inputs: Mapping[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=inputs["endpoint"],
        region_name=inputs["region"],
        aws_access_key_id=inputs["accessKey"],
        aws_secret_access_key=inputs["secretKey"],
        config=Config(
            connect_timeout=WITHIN_S / 2,
            read_timeout=WITHIN_S,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            # Poor stores choke on checksums they were not asked for.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            proxies={},
        ),
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _asking(inputs: Mapping[str, Any], what: str) -> Iterator[None]:
    where = f"the store of {inputs['site']} at {inputs['endpoint']}"
    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in _GONE:
            raise BucketProblem(f"cannot {what} the bucket {inputs['bucket']}: it is gone from {where}") from error
        if code in _REFUSED:
            raise BucketProblem(f"{where} refuses our key") from error
        raise BucketProblem(f"cannot {what} the bucket {inputs['bucket']}: {where} says {code}") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise BucketProblem(f"{where} does not answer ({type(error).__name__})") from error
