"""Seals: a text signed with ed25519, as two lines a person can read. Snapshots' manifests and proofs carry one.

Line one is the text exactly as signed, line two the signature and the public key. An ed25519 key is 32 bytes of hex,
so that it can be written down.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from failover.errors import Damaged, Denied
from failover.model.secret import Secret
from failover.trust.ca import write_private


class _Signature(msgspec.Struct, frozen=True, kw_only=True):
    ed25519: str
    key: str


class SealKey:
    """Signs; ``public`` is what others trust."""

    def __init__(self, secret: Secret) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret.reveal()))
        self.public = self._key.public_key().public_bytes_raw().hex()

    def derived(self, purpose: str) -> Secret:
        """A key for ``purpose`` alone: whoever holds it can neither find this one nor that of another purpose."""
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
        return Secret(derivation.derive(self._key.private_bytes_raw()).hex())

    @classmethod
    def at(cls, path: Path) -> SealKey:
        """The key in that file, made when there is none; mode 0600."""
        if not path.exists():
            write_private(path, Ed25519PrivateKey.generate().private_bytes_raw().hex())
        return cls(Secret(path.read_text(encoding="ascii").strip()))

    def seal(self, body: bytes) -> bytes:
        """Two lines. ``body`` is one line of JSON."""
        if b"\n" in body:
            raise ValueError("a sealed text is one line")
        signature = _Signature(ed25519=self._key.sign(body).hex(), key=self.public)
        return body + b"\n" + msgspec.json.encode(signature) + b"\n"


def open_seal(raw: bytes, *, trusted: Collection[str], what: str) -> bytes:
    """Line one, once its signature is right and by a trusted key. Raises ``Damaged`` when it is not what was signed,
    ``Denied`` when somebody else signed it (a snapshot of another fleet)."""
    body, _, rest = raw.partition(b"\n")
    try:
        signature = msgspec.json.decode(rest, type=_Signature)
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key))
        key.verify(bytes.fromhex(signature.ed25519), body)
    except (msgspec.MsgspecError, ValueError, InvalidSignature) as error:
        raise Damaged(f"{what} is not what was signed", where=what) from error
    # Hex has two spellings: only the one that was written passes, so that copies can be compared byte by byte.
    if rest != msgspec.json.encode(signature) + b"\n" or rest != rest.lower():
        raise Damaged(f"{what} is not what was signed", where=what)
    if signature.key not in trusted:
        raise Denied(f"{what} is signed by {signature.key[:16]}…, which is not a key of this fleet", where=what)
    return body
