"""One scrypt run gives all that a password is used for; none of it can be turned back into the password.

Must never be here: SQL, HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from infra.app.gate import Unavailable

# 4 MiB and about 10 ms: two cores serve everything else beside it.
COST, BLOCK, PARALLEL = 2**12, 8, 1

# One thread: a burst of sign-ins queues up here instead of taking both cores from the posts.
QUEUE_LIMIT = 200
_queued = 0
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scrypt")


class Derived(NamedTuple):
    """`verifier` is stored; the other two never leave the process."""

    verifier: bytes
    token_key: bytes
    digest_key: bytes

    def token(self, label: str) -> str:
        """The session's token: the same for the same password and label, so a sign-in can be answered again."""
        mac = hmac.digest(self.token_key, label.encode(), "sha256")
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def digest(self, body: bytes) -> bytes:
        """Digest of a body that holds the password: keyed, since its plain SHA-256 would be a cheap password hash."""
        return hmac.digest(self.digest_key, body, "sha256")

    def __repr__(self) -> str:
        return "Derived(…)"


def salt_for(name: str, key: str) -> bytes:
    """An account's salt: unique, and the same again when its creation is repeated under the same key."""
    return hashlib.sha256(f"{name}\n{key}".encode()).digest()[:16]


async def derive(password: str, salt: bytes) -> Derived:
    """Run scrypt off the event loop; Unavailable when the queue for it is longer than anybody would wait."""
    global _queued
    if _queued >= QUEUE_LIMIT:
        raise Unavailable("too many sign-ins at once")
    _queued += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_thread, _derive, password.encode(), salt)
    finally:
        _queued -= 1


def _derive(password: bytes, salt: bytes) -> Derived:
    out = hashlib.scrypt(password, salt=salt, n=COST, r=BLOCK, p=PARALLEL, dklen=96)
    return Derived(out[:32], out[32:64], out[64:])
