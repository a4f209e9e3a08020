"""The bucket itself, through boto3: made, versioned, locked, removed. Control calls only, by deploy and preflight.

Blocking; a bucket that is somebody else's is never taken for ours, also where it happens to let us write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from failover.adapters.store_s3 import traits_of
from failover.adapters.store_s3_errors import meaning
from failover.errors import Denied, OutcomeUnknown, Unreachable, UsageError
from failover.model.stores import StoreKey, StorePlace

_TAKEN = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}


class S3Bucket:
    """Control of one bucket. Every call is repeatable and raises as ``Store`` does, within about ``deadline_s``."""

    def __init__(self, place: StorePlace, key: StoreKey, *, deadline_s: float) -> None:
        self._place = place
        self._where = place.where
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret.reveal(),
            config=Config(
                connect_timeout=min(5.0, deadline_s),
                read_timeout=deadline_s,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                # Poor stores choke on checksums they were not asked for (facts: storage 2.2).
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def ensure(self, *, lock_days: int | None = None) -> bool:
        """The bucket is there and ours, versioned where the store can; ``True`` when it was made now.

        ``lock_days``: everything written cannot be removed for so long (COMPLIANCE), also not by us; only a new bucket
        can be given it. ``UsageError`` where the store has no lock. ``Denied``: it belongs to somebody else.
        """
        traits = traits_of(self._place.kind, self._place.provider)
        if lock_days is not None and not traits.object_lock:
            raise UsageError(f"store {self._place.name} has no object lock", hint="leave out its lock")
        made = self._create(locked=lock_days is not None)
        if traits.versioning:
            with self._asking("turn on versions"):
                self._client.put_bucket_versioning(
                    Bucket=self._place.bucket, VersioningConfiguration={"Status": "Enabled"}
                )
        if lock_days is not None:
            with self._asking("lock the bucket"):
                self._client.put_object_lock_configuration(
                    Bucket=self._place.bucket,
                    ObjectLockConfiguration={
                        "ObjectLockEnabled": "Enabled",
                        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": lock_days}},
                    },
                )
        return made

    def is_ours(self) -> bool:
        """It is among the buckets of this account. Changes nothing."""
        with self._asking("list buckets", writes=False):
            return any(one["Name"] == self._place.bucket for one in self._client.list_buckets()["Buckets"])

    def end_uploads(self) -> int:
        """Drop the parts of uploads that nobody finishes; how many there were. Not while a snapshot is being made."""
        with self._asking("end uploads"):
            open_ones = self._client.list_multipart_uploads(Bucket=self._place.bucket).get("Uploads", [])
            for one in open_ones:
                self._client.abort_multipart_upload(Bucket=self._place.bucket, Key=one["Key"], UploadId=one["UploadId"])
        return len(open_ones)

    def close(self) -> None:
        """Free connections. Repeatable."""
        self._client.close()

    def _create(self, *, locked: bool) -> bool:
        if self.is_ours():
            return False
        where = {} if self._place.region == "us-east-1" else {"LocationConstraint": self._place.region}
        asked: dict[str, Any] = {"Bucket": self._place.bucket}
        if where:
            asked["CreateBucketConfiguration"] = where
        if locked:
            asked["ObjectLockEnabledForBucket"] = True
        try:
            with self._asking("make the bucket"):
                self._client.create_bucket(**asked)
        except _Taken as taken:
            if self.is_ours():
                return False
            raise Denied(
                f"the bucket {self._place.bucket} belongs to somebody else",
                where=self._where,
                hint=f"give store {self._place.name} another bucket in the fleet file",
            ) from taken
        return True

    @contextmanager
    def _asking(self, what: str, *, writes: bool = True) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
            if code in _TAKEN:
                raise _Taken(code) from error
            raise meaning(status=status, code=code, what=what, where=self._where, writes=writes) from error
        except EndpointConnectionError as error:
            raise Unreachable(f"{what}: no connection", where=self._where) from error
        except BotoCoreError as error:
            silent = OutcomeUnknown if writes else Unreachable
            raise silent(f"{what}: {type(error).__name__}", where=self._where) from error


class _Taken(Exception):
    """The name is taken; by whom is another question."""
