"""Which snapshot a restore or a verification takes when none is named, and at which site it is verified. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from failover.model.units import Lsn


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that two providers hold with all it stands on. ``stop``: WAL it needs ends here; ``finished_at``: by
    then; ``proven``: site -> when a restore there last succeeded."""

    id: str
    timeline: int
    stop: Lsn
    finished_at: datetime
    taken_from: str
    proven: dict[str, datetime] = {}


def newest(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one to verify, or to restore as far as possible."""
    return max(candidates, key=_age, default=None)


def before_lsn(candidates: Sequence[Candidate], lsn: Lsn) -> Candidate | None:
    """The newest from which replay can stop at ``lsn``."""
    return newest([one for one in candidates if one.stop <= lsn])


def before_time(candidates: Sequence[Candidate], moment: datetime) -> Candidate | None:
    """The newest that was whole at ``moment``."""
    return newest([one for one in candidates if one.finished_at <= moment])


def verify_site(candidate: Candidate, sites: Sequence[str]) -> str:
    """The site whose proof is the oldest, none at all being older still; where it was taken from comes last among
    equals."""
    never = datetime.min.replace(tzinfo=candidate.finished_at.tzinfo)
    return min(sites, key=lambda site: (candidate.proven.get(site, never), site == candidate.taken_from, site))


def _age(one: Candidate) -> tuple[datetime, str]:
    return one.finished_at, one.id
