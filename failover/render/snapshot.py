"""Snapshots and keys as text for people. Unknown is shown as unknown."""

from __future__ import annotations

from failover.model.snapshot_shown import KeysShown, RestoredShown, SnapshotShown, SnapshotsShown
from failover.model.units import format_bytes, format_duration
from failover.render.text import table

_HEAD: tuple[str, ...] = ("ID", "KIND", "SIZE", "LSN", "FROM", "STORES", "VERIFIED")


def snapshots_text(shown: SnapshotsShown) -> str:
    """``snapshot list``."""
    rows = [_HEAD, *(_row(one) for one in shown.snapshots)]
    text = table(rows) if shown.snapshots else "no snapshots yet\n"
    text += "".join(f"not finished, no snapshot: {one}\n" for one in shown.orphans)
    text += "".join(f"damaged: {one}\n" for one in shown.damaged)
    return text + "".join(f"{store}: unknown: {why}\n" for store, why in shown.unreachable.items())


def snapshot_text(one: SnapshotShown) -> str:
    """One, as ``verify`` and ``create`` end."""
    lines = [f"{one.id}: {one.kind}, {format_bytes(one.bytes)}, {_stores(one)}"]
    lines += [f"  on top of {one.parent}"] if one.parent else []
    lines += [f"  why: {reason}" for reason in one.why]
    if one.verified is not None:
        proof = one.verified
        took = format_duration(proof.seconds)
        lines.append(f"  restored at {proof.site} from {proof.store} to {proof.lsn} in {took}: {proof.rows} rows")
        lines += [f"    {check}" for check in proof.checks]
    return "".join(f"{line}\n" for line in lines)


def restored_text(done: RestoredShown) -> str:
    """Where the copy is, and how a person starts it."""
    where = "exactly" if done.exact else "where the backup is consistent: nothing exact was recorded"
    lines = [f"{done.id} restored into {done.into} in {format_duration(done.seconds)}, at LSN {done.lsn} {where}"]
    lines += [f"passed over: {note}" for note in done.notes]
    lines += [
        "it belongs to no fleet and follows nobody; to look into it:",
        f"  pg_ctl -D {done.into} -o '-p 5499 -k /tmp' start && psql -h /tmp -p 5499 -U keeper",
    ]
    return "".join(f"{line}\n" for line in lines)


def keys_text(shown: KeysShown) -> str:
    """``keys list``, ``test``, ``new`` and ``rotate``."""
    rows = [("RECIPIENT", "DECLARED", "SNAPSHOTS", "OPENS", "PRIVATE KEY")]
    for key in shown.keys:
        opens = {True: "yes", False: "no", None: "not tried"}[key.opens]
        count = "unknown" if key.snapshots is None else str(key.snapshots)
        rows.append((key.recipient, "yes" if key.declared else "no", count, opens, key.file or "not here"))
    text = table(rows) + "".join(f"{key.recipient}: {key.problem}\n" for key in shown.keys if key.problem)
    return text + (f"{shown.summary}\n" if shown.summary else "")


def _row(one: SnapshotShown) -> tuple[str, ...]:
    proof = one.verified
    verified = "never" if proof is None else f"{proof.at} at {proof.site}"
    return one.id, one.kind, format_bytes(one.bytes), one.lsn, one.taken_from, _stores(one), verified


def _stores(one: SnapshotShown) -> str:
    parts = [each.store if each.whole else f"{each.store} (part)" for each in one.stores]
    state = "" if one.counts else "; does not count"
    return ", ".join(parts) + (f"{state}; being removed" if one.removing else state)
