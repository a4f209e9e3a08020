"""The account at a local provider, which can be switched off as a whole: a folder ``suspended/SITE`` beside ``sites/``
says so. Its API then refuses every call, and writes down that somebody of ours still called."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path


class Suspended(Exception):
    """The provider refuses: the account is switched off."""


def require_open(host_dir: Path, call: str) -> None:
    """Raises ``Suspended`` while the account of this host's site is off; the refused call is noted for the drill."""
    gone = host_dir.parent.parent / "suspended"
    if not (gone / host_dir.name).exists():
        return
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    descriptor = os.open(gone / f"{host_dir.name}.refused", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{moment} {call}\n".encode())
    finally:
        os.close(descriptor)
    raise Suspended(f"the provider of {host_dir.name} refuses {call}: the account is suspended")
