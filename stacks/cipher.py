"""Pulumi's passphrase format (``v1:nonce:ciphertext``, AES-256-GCM, PBKDF2-SHA256), so that a stack's configuration is
compared and written without one run of the command line per value, and without a secret in anybody's arguments."""

from __future__ import annotations

import base64
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ROUNDS = 1_000_000
_KNOWN_TEXT = "pulumi"


class WrongPassphrase(Exception):
    """The passphrase does not open what is stored."""


class Cipher:
    """Encrypts and decrypts values of one stack. ``salt`` is the stack's ``encryptionsalt``."""

    def __init__(self, passphrase: str, salt: str | None) -> None:
        """Open with a stack's salt, or make a new one. Raises ``WrongPassphrase``; about 0.15 s of CPU."""
        raw = base64.b64decode(salt.split(":")[1]) if salt else os.urandom(8)
        self._key = AESGCM(hashlib.pbkdf2_hmac("sha256", passphrase.strip().encode(), raw, _ROUNDS, dklen=32))
        if salt is None:
            salt = f"v1:{base64.b64encode(raw).decode()}:{self.encrypt(_KNOWN_TEXT)}"
        elif self.decrypt(salt.split(":", 2)[2]) != _KNOWN_TEXT:
            raise WrongPassphrase
        self.salt = salt

    def encrypt(self, text: str) -> str:
        """A value as it stands under ``secure:``; another ciphertext each time."""
        nonce = os.urandom(12)
        sealed = self._key.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, value: str) -> str:
        """The text of a ``secure:`` value. Raises ``WrongPassphrase`` when it was sealed with another key."""
        _version, nonce, sealed = value.split(":")
        try:
            return self._key.decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
        except InvalidTag:
            raise WrongPassphrase from None
