"""age: who can open a snapshot. Whoever writes holds public keys only, so a stolen writer reads nothing.

Every snapshot is encrypted to at least two independent recipients: one that verifies, one that lies in a drawer.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import BinaryIO, cast

import pyrage

from failover.errors import Denied, Unreachable, UsageError
from failover.model.secret import Secret

MINIMUM = 2
_HINT = "failover keys new makes one; two different ones are needed, kept in two places"


class AgeKey:
    """A key pair: ``public`` is the recipient (``age1…``), ``secret`` the identity as ``age-keygen`` writes it."""

    def __init__(self, secret: Secret) -> None:
        try:
            self._identity = pyrage.x25519.Identity.from_str(secret.reveal().strip())
        except pyrage.IdentityError as error:
            raise UsageError("this is no age identity", hint="the line of a key file that is no comment") from error
        self.secret = secret
        self.public = str(self._identity.to_public())

    @classmethod
    def new(cls) -> AgeKey:
        """A fresh one."""
        return cls(Secret(str(pyrage.x25519.Identity.generate())))

    @classmethod
    def read(cls, text: str) -> AgeKey:
        """From a key file as age-keygen writes it: comments and one identity."""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if len(lines) != 1:
            raise UsageError(f"a key file holds one identity, this one {len(lines)}")
        return cls(Secret(lines[0]))


_PARSERS = (
    pyrage.x25519.Recipient.from_str,
    pyrage.ssh.Recipient.from_str,
    pyrage.tag.Recipient.from_str,
    pyrage.tagpq.Recipient.from_str,
)


def _parse(text: str) -> object | None:
    for parser in _PARSERS:
        try:
            return cast("object", parser(text))
        except pyrage.RecipientError:
            continue
    return None


def check_recipients(recipients: Sequence[str], *, minimum: int = MINIMUM) -> None:
    """Raises ``UsageError`` when there are too few different ones, or one cannot be read. Classic, ssh, hardware and
    post-quantum recipients (``age1tag…``, ``age1tagpq…``) pass as the strings they are."""
    unread = [text for text in recipients if _parse(text) is None]
    if unread:
        raise UsageError(f"not an age recipient: {', '.join(unread)}", hint=_HINT)
    if len(set(recipients)) < minimum:
        raise UsageError(f"{len(set(recipients))} age recipient, at least {minimum} are needed", hint=_HINT)


def encrypt(reader: BinaryIO, writer: BinaryIO, recipients: Sequence[str]) -> None:
    """Everything ``reader`` gives, as an age file. Constant memory; a fresh file key each time. Raises ``Unreachable``
    when reader or writer failed: their own error is lost in the library."""
    check_recipients(recipients, minimum=1)
    try:
        pyrage.encrypt_io(reader, writer, [_parse(text) for text in recipients])
    except (pyrage.EncryptError, OSError) as error:
        raise Unreachable(f"what was to be encrypted ended early: {error}") from error


def decrypt(reader: BinaryIO, writer: BinaryIO, keys: Sequence[AgeKey]) -> None:
    """The plain bytes. Raises ``Denied`` when no key opens it or it is not what was encrypted; who knows the sha256 of
    the ciphertext can tell the two apart."""
    try:
        pyrage.decrypt_io(reader, writer, [key._identity for key in keys])
    # OSError is how pyrage says that the body is cut or altered.
    except (pyrage.DecryptError, OSError) as error:
        raise Denied(f"age does not open it: {error}", hint="is this the right key? failover keys list") from error


def refusals(ciphertext: bytes, keys: Sequence[AgeKey]) -> dict[str, Denied]:
    """Recipients whose key alone does not open ``ciphertext``, and why; empty is what is wanted."""
    found = {}
    for key in keys:
        try:
            decrypt(BytesIO(ciphertext), BytesIO(), [key])
        except Denied as error:
            found[key.public] = error
    return found
