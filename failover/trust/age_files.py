"""Age identities in files, as ``age-keygen`` writes and ``age -i`` reads them. Beside the fleet file, not in the state
folder: that one goes with the fleet, and a snapshot outlives it."""

from __future__ import annotations

from pathlib import Path

from failover.trust.age import AgeKey
from failover.trust.ca import write_private

FOLDER = "keys"


def age_key_file(path: Path) -> AgeKey:
    """The key in ``path``; a new one is written there when there is none. What exists is never changed. Raises
    ``UsageError`` for a file that holds no key."""
    if path.exists():
        return AgeKey.read(path.read_text(encoding="utf-8"))
    key = AgeKey.new()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, f"# public key: {key.public}\n{key.secret.reveal()}\n")
    return key
