"""A store in memory for the app's own port: it can be silent, hang, and rot."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from infra.app.media_stores import MediaStores, StoreError


@dataclass
class MemoryMedia:
    """``MediaStore`` as a dict. ``silent``: refuses at once; ``hanging``: never answers; ``calls``: what was asked."""

    name: str
    objects: dict[str, bytes] = field(default_factory=dict)
    silent: bool = False
    hanging: bool = False
    calls: list[str] = field(default_factory=list)

    async def put(self, key: str, body: bytes, *, deadline_s: float) -> None:
        await self._ask("put")
        self.objects[key] = body

    async def get(self, key: str, *, deadline_s: float) -> bytes | None:
        await self._ask("get")
        return self.objects.get(key)

    async def delete(self, key: str, *, deadline_s: float) -> None:
        await self._ask("delete")
        self.objects.pop(key, None)

    async def _ask(self, what: str) -> None:
        self.calls.append(what)
        if self.hanging:
            await asyncio.Event().wait()
        if self.silent:
            raise StoreError("silent")


def name_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def pair() -> tuple[MemoryMedia, MemoryMedia, MediaStores]:
    near, far = MemoryMedia("near"), MemoryMedia("far")
    return near, far, MediaStores([near, far], prefix="m/")
