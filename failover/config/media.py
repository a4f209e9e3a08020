"""Decodes ``media``: how one learns what the app refers to, and how long the bytes of what it removed stay."""

from __future__ import annotations

import re

from failover.config.decode import Value
from failover.config.problems import Problems
from failover.config.stores import check_kept
from failover.model.fleet import Fleet
from failover.model.stores import MediaRules, SnapshotRules

_TOP = ("media",)
_QUERY = re.compile(r"\s*(SELECT|WITH|VALUES|TABLE)\b[^;]*", re.IGNORECASE)
_EXAMPLE = "SELECT left(id, 2) || '/' || id, id, size_bytes FROM media"
_DAY_S = 86400.0


def decode_media(value: Value, snapshots: SnapshotRules | None) -> MediaRules | None:
    """``None`` when the file has no such section. Wrong values are the defaults and reported."""
    if not value.present:
        return None
    table = value.table("index", "keep_removed", example=f"index: {_EXAMPLE}")
    # Unless told otherwise, as long as the oldest snapshot can be restored, and never less than a month.
    reach_s = max(MediaRules().keep_removed_s, snapshots.keep.window_s if snapshots is not None else 0.0)
    return MediaRules(
        index=_index(table.optional("index")),
        keep_removed_s=table.optional("keep_removed").seconds(reach_s, low="1m", high="3660d"),
    )


def check_media(fleet: Fleet, problems: Problems) -> None:
    """There is somewhere to keep them, and nothing is purged that a restore can want back."""
    if fleet.media is None or not problems.sound(*_TOP):
        return
    check_kept("media", "there is no store to keep them in", fleet, problems)
    if fleet.snapshots is None or not problems.sound("snapshots"):
        return
    window_s = fleet.snapshots.keep.window_s
    if fleet.media.keep_removed_s < window_s:
        message = "a database restored from the oldest snapshot would refer to objects whose bytes are gone"
        problems.warning("media-window", (*_TOP, "keep_removed"), message, f"write {window_s / _DAY_S:.0f}d or more")


def _index(value: Value) -> str:
    text = value.text()
    if text and value.sound_here and not _QUERY.fullmatch(text):
        value.wrong("bad-value", "this is no single query", f"write {_EXAMPLE}")
    return text
