"""What a keeper must remember between two looks: who flushes, who is lost, what is proven. No I/O, no clock."""

from __future__ import annotations

from failover.model.observation import DatabaseFacts
from failover.model.record import Alone
from failover.model.units import Lsn

_JUST_NOW_S = 0.001
_NEVER_SEEN_S = 3.0
# Whether it is gone for good is not judged by this: that takes the witness's word, too.
_VANISHED_S = 0.06


class FlushWatch:
    """Judges sync members by their flush position alone: ``reply_time`` is the standby's clock and up to 10 s old on
    a healthy idle fleet (safety B5)."""

    def __init__(self, *, stale_s: float) -> None:
        self._stale_s = stale_s
        self._flush: dict[str, Lsn] = {}
        self._moved_s: dict[str, float] = {}
        self._streamed: set[str] = set()
        self._beats: list[tuple[float, Lsn]] = []
        self._proof: tuple[tuple[str, ...], Lsn] = ((), 0)

    def beat(self, *, at_s: float, lsn: Lsn) -> None:
        """A heartbeat that ends at ``lsn`` was written at ``at_s``."""
        self._beats = [*self._beats[-20:], (at_s, lsn)]

    def proved(self, names: tuple[str, ...], lsn: Lsn) -> None:
        """``names`` were shown in force, and ``lsn`` was read after that (B2)."""
        self._proof = (names, lsn)

    def look(self, db: DatabaseFacts, *, now_s: float) -> None:
        """Take in one look at the primary's replicas."""
        wanted = set(db.names)
        for name in set(self._moved_s) - wanted:
            self._moved_s.pop(name)
            self._streamed.discard(name)
        for replica in db.replicas:
            name = replica.application_name
            if replica.state != "streaming":
                continue
            caught_up = replica.flush_lsn >= db.position
            if caught_up or replica.flush_lsn > self._flush.get(name, -1):
                self._moved_s[name] = now_s
            self._flush[name] = replica.flush_lsn
            self._streamed.add(name)
        for name in wanted:
            self._moved_s.setdefault(name, now_s)

    def lost(self, db: DatabaseFacts, *, now_s: float) -> frozenset[str]:
        """Names that stopped flushing, vanished, or never came."""
        streaming = {r.application_name for r in db.replicas if r.state == "streaming"}
        gone = set()
        for name in db.names:
            still_s = now_s - self._moved_s.get(name, now_s)
            vanished_s = _VANISHED_S if name in self._streamed else _NEVER_SEEN_S
            limit_s = self._stale_s if name in streaming else vanished_s
            if still_s > limit_s:
                gone.add(name)
        return frozenset(gone)

    def caught_up(self, db: DatabaseFacts) -> frozenset[str]:
        """Names that have flushed past a position read after they were proven in force."""
        names, lsn = self._proof
        if names != db.names or db.names_proven != db.names:
            return frozenset()
        return frozenset(
            r.application_name for r in db.replicas if r.state == "streaming" and r.flush_lsn >= lsn and lsn > 0
        )

    def heard_from_all(self, members: tuple[str, ...], db: DatabaseFacts) -> float | None:
        """Newest heartbeat that every sync member has flushed: at that instant nobody else could have been promoted
        without one of them."""
        flushed = {r.application_name: r.flush_lsn for r in db.replicas if r.state == "streaming"}
        if not members or any(member not in flushed for member in members):
            return None
        least = min(flushed[member] for member in members)
        reached = [at_s for at_s, lsn in self._beats if lsn <= least]
        return max(reached, default=None)


class AloneClock:
    """How long a primary has acknowledged alone: what was published, and the time since. Its own boot clock where it
    ran all the while; the wall clock bridges a restart of the agent, during which PostgreSQL went on."""

    def __init__(self) -> None:
        self._seen: Alone | None = None
        self._seen_at_s = 0.0

    def seconds(self, published: Alone | None, *, now_s: float, now_unix_s: float) -> float:
        """Until now; more than 0, and never less than what was published."""
        if published is None:
            return _JUST_NOW_S
        if published != self._seen:
            self._seen, self._seen_at_s = published, now_s
        since = max(now_s - self._seen_at_s, now_unix_s - published.at_unix_s, _JUST_NOW_S)
        return round(published.seconds_s + since, 3)
