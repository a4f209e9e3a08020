"""The ledger against the rows of the final primary: what was acknowledged and is gone, what is there twice.

``compare`` is pure. ``read_back`` runs the workload's SQL through a callable, because this layer knows no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from failover.load.ledger import Ledger
from failover.load.workload import ReadBack, id_prefix
from failover.model.report import LedgerFigures

# Runs a statement with bound parameters and gives the first column of every row.
Query = Callable[[str, Mapping[str, str]], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Ids, each tuple sorted. ``duplicated``: stored more than once. ``unacknowledged_but_present``: sent, never
    acknowledged (failed, ambiguous, or the generator died first), and stored all the same: allowed, but counted.
    ``unknown``: stored with this run's prefix but never sent."""

    acknowledged: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    unacknowledged_but_present: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def figures(self) -> LedgerFigures:
        """The counts, as the report has them."""
        return LedgerFigures(
            acknowledged_writes=self.acknowledged,
            lost=len(self.lost),
            duplicated=len(self.duplicated),
            unacknowledged_but_present=len(self.unacknowledged_but_present),
            unknown=len(self.unknown),
        )


def compare(ledger: Ledger, stored: Iterable[str]) -> Comparison:
    """Compare. ``stored`` has one id per row, so that a write stored twice is there twice."""
    rows = Counter(stored)
    acknowledged = {write.id for write in ledger.writes if write.acknowledged}
    sent = acknowledged | ledger.sent.keys() | {write.id for write in ledger.writes}
    return Comparison(
        acknowledged=len(acknowledged),
        lost=tuple(sorted(acknowledged - rows.keys())),
        duplicated=tuple(sorted(id_ for id_, count in rows.items() if count > 1)),
        unacknowledged_but_present=tuple(sorted((rows.keys() & sent) - acknowledged)),
        unknown=tuple(sorted(rows.keys() - sent)),
    )


def read_back(how: ReadBack, *, run: str, query: Query) -> list[str]:
    """The stored ids of ``run``, one per row, duplicates and all. Raises whatever ``query`` raises."""
    return list(query(how.sql, {"run": run, "prefix": id_prefix(run)}))
