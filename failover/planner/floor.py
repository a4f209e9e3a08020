"""Is this record one from before? Pure (safety C8).

A host keeps the newest epoch that it ever read. Voters that were restored from a backup, or begun anew, hold an older
record or none: it may name a primary that lacks what was acknowledged since.
"""

from __future__ import annotations

from failover.model.record import Record


def too_old(record: Record | None, floor: int) -> str:
    """Why a host that has read epoch ``floor`` follows ``record`` nowhere, or ``""``."""
    if record is None:
        return f"there is no record any more, and epoch {floor} was read here: nothing is changed here" if floor else ""
    if record.epoch >= floor:
        return ""
    return f"the record went back from epoch {floor} to {record.epoch}: nothing here follows it"
