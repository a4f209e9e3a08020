"""One bucket over S3, for pictures. Loaded only where stores are configured.

Its failures are told without a URL or a key. Must never be here: retries (who calls knows what may be repeated).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from infra.app.media_stores import StoreError
from infra.app.settings import StoreSettings

CONNECT_S = 1.0
# Only ends what nobody waits for any more.
FORGOTTEN_S = 60.0
T = TypeVar("T")


class S3MediaStore:
    """MediaStore on obstore."""

    def __init__(self, place: StoreSettings) -> None:
        self.name = place.name
        self._client = S3Store(
            place.bucket,
            endpoint=place.endpoint,
            region=place.region,
            access_key_id=place.access_key,
            secret_access_key=place.secret,
            virtual_hosted_style_request=False,
            checksum_algorithm="SHA256",
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=FORGOTTEN_S),
            },
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        )

    async def put(self, key: str, body: bytes, *, deadline_s: float) -> None:
        await _asking(obstore.put_async(self._client, key, body, use_multipart=False), deadline_s)

    async def get(self, key: str, *, deadline_s: float) -> bytes | None:
        try:
            return await _asking(self._get(key), deadline_s)
        except FileNotFoundError:
            return None

    async def delete(self, key: str, *, deadline_s: float) -> None:
        try:
            await _asking(obstore.delete_async(self._client, key), deadline_s)
        except FileNotFoundError:
            return

    async def _get(self, key: str) -> bytes:
        answer = await obstore.get_async(self._client, key)
        return bytes(await answer.bytes_async())


async def _asking(call: Awaitable[T], deadline_s: float) -> T:
    try:
        async with asyncio.timeout(deadline_s):
            return await call
    except FileNotFoundError as failure:
        if "NoSuchBucket" in str(failure):
            raise StoreError("the bucket is not there") from None
        raise
    except TimeoutError:
        raise StoreError(f"no answer in {deadline_s:g} s") from None
    except (BaseError, OSError) as failure:
        # Their texts hold the address and sometimes the request; the class says enough.
        raise StoreError(type(failure).__name__) from None
