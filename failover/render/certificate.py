"""Lost-write certificates as text. Builds text; ``render.out`` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from failover.model.certificate import Certificate
from failover.render.text import table


def certificates_text(certificates: Iterable[Certificate], failed: Mapping[str, str]) -> str:
    """``certificate list``: what was lost is in the column LOST, what was never acknowledged only in COMMITS."""
    rows = [("ID", "SAVED", "COMMITS", "LOST", "WAL", "ACCEPTED BY")]
    rows.extend(
        (
            one.id,
            one.saved_at,
            str(one.commits),
            str(one.lost_commits),
            f"{one.wal_bytes} B",
            one.accepted.run if one.accepted is not None else "-",
        )
        for one in certificates
    )
    text = table(rows) if len(rows) > 1 else "no certificates\n"
    return text + "".join(f"{site} was not asked: {why}\n" for site, why in failed.items())


def certificate_text(one: Certificate) -> str:
    """``certificate show``."""
    if one.accepted is None:
        meaning = "none of them was acknowledged: commits waited for the copy that took over"
    else:
        loss = one.accepted
        meaning = f"each may have been acknowledged: {loss.source} ran alone, and run {loss.run} accepted the loss"
    files = "".join(f"  {file.name}  {file.size_bytes} B  sha256 {file.sha256}\n" for file in one.files)
    return (
        f"{one.id}: {one.commits} commits past the fork, {one.lost_commits} lost\n"
        f"{meaning}\n"
        f"copy {one.member} at {one.site}, database {one.system_identifier}, timeline {one.timeline}\n"
        f"WAL from {one.fork_lsn} to {one.end_lsn} ({one.wal_bytes} bytes), saved {one.saved_at}\n"
        f"kept at {one.site} in {one.folder}\n{files}{one.digest}\n"
    )
