"""A value that must not be seen. It prints ``**redacted**`` everywhere; ``reveal()`` is the one way to the text."""

from __future__ import annotations

import msgspec


class Secret:
    """Holds a secret text. Two secrets are equal when their texts are; neither repr, str nor format shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "**redacted**"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


class StoreKey(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of one object store; never part of a plan or a message."""

    access_key: str
    secret: Secret


class FleetSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Everything secret a fleet needs, made by ``init``, kept below ``trust/`` and resolved only where it is used.

    ``store_keys``: by the store's name. A store of a provider's own is missing here until its key was given.
    ``wal_seals``: with what each site's host signs the WAL it ships; only where there are stores.
    """

    app_password: Secret
    replication_password: Secret
    keeper_password: Secret
    dns_api_keys: dict[str, Secret]
    bootstrap_tokens: dict[str, Secret]
    pulumi_passphrase: Secret
    store_keys: dict[str, StoreKey] = msgspec.field(default_factory=dict)
    wal_seals: dict[str, Secret] = msgspec.field(default_factory=dict)
