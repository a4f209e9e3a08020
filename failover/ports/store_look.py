"""Port: does an object store answer at all? For ``status`` and ``check``, which load no client of one."""

from __future__ import annotations

from typing import Protocol

from failover.model.stores import StorePlace


class StoreLook(Protocol):
    """Any number of looks at once. Needs no key and changes nothing."""

    def silence(self, place: StorePlace, *, deadline_s: float) -> str:
        """Why the store does not answer, or ``""`` when it does, also where its answer is that we may not. Raises
        nothing. What it holds, and whether our key opens it, is not asked."""
        ...
