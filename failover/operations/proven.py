"""The last proven restore, as this machine knows it: kept by ``snapshot verify``, so that ``status`` asks no store."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from failover.model.snapshot import Verification
from failover.operations.wired import Wired
from failover.trust.ca import write_private

_FILE = "proven.json"


def keep(wired: Wired, proof: Verification) -> None:
    """In place of the one before."""
    write_private(wired.snapshots_dir / _FILE, msgspec.json.encode(proof).decode() + "\n")


def proven_age_s(wired: Wired) -> float | None:
    """How old it is; ``None``: none is known here."""
    try:
        proof = msgspec.json.decode((wired.snapshots_dir / _FILE).read_bytes(), type=Verification)
        return max(0.0, round((datetime.now(UTC) - datetime.fromisoformat(proof.at)).total_seconds(), 3))
    except (FileNotFoundError, msgspec.MsgspecError, ValueError):
        return None  # unknown, and shown as that
