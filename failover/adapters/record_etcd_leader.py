"""Where the voters' leader sits, and moving it: kept at the witness, the loss of a data site costs no election.

What must never be here: the record. Without this, a dead primary site that also held the leader costs 1.0-1.4 s more
before the first swap (safety D3).
"""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from failover.adapters.record_etcd_http import Voters, boottime
from failover.adapters.record_etcd_wire import Members, Status, decode, granted
from failover.errors import Unreachable

_LAG_ENTRIES = 100  # a voter further behind would stop everybody while it catches up


@dataclass(frozen=True, slots=True, kw_only=True)
class VoterStatus:
    """One voter as it was seen. ``error`` says why there is no more to say; then the numbers are 0."""

    endpoint: str
    member: int = 0
    leader: int = 0
    applied: int = 0
    version: str = ""
    error: str = ""

    @property
    def leads(self) -> bool:
        """This voter answered and takes itself for the leader."""
        return self.member != 0 and self.member == self.leader


class EtcdVoters:
    """The voters themselves, one by one. Safe for threads; close it when done."""

    def __init__(self, *, endpoints: tuple[str, ...], tls: ssl.SSLContext | None, dial_timeout_s: float = 0.15) -> None:
        self._voters = Voters(endpoints=endpoints, tls=tls, dial_timeout_s=dial_timeout_s, hedge_s=dial_timeout_s)

    def status(self, *, deadline_s: float) -> tuple[VoterStatus, ...]:
        """Every voter, asked side by side, in the order of the endpoints. Never raises for a voter that is gone."""
        with ThreadPoolExecutor(max_workers=len(self._voters.endpoints)) as threads:
            return tuple(threads.map(lambda one: self._one(one, deadline_s), self._voters.endpoints))

    def names(self, *, deadline_s: float) -> dict[str, int]:
        """Voter name -> member id. Raises ``Unreachable``."""
        answer = self._voters.ask("/v3/cluster/member/list", b"{}", deadline_s=deadline_s)
        return {one.name: one.ID for one in decode(granted(answer), Members).members if one.name}

    def move_leader(self, *, to_member: int, deadline_s: float) -> bool:
        """Ask the leader to hand over. ``False``: it leads already. Raises ``Unreachable`` when there is no leader, or
        when the heir does not answer or lags (handing over to it would stop every swap)."""
        end = boottime() + deadline_s
        seen = self.status(deadline_s=deadline_s)
        leader = next((one for one in seen if one.leads), None)
        if leader is None:
            raise Unreachable("the record has no leader that answers", where=", ".join(self._voters.endpoints))
        if leader.member == to_member:
            return False
        heir = next((one for one in seen if one.member == to_member), None)
        if heir is None or leader.applied - heir.applied > _LAG_ENTRIES:
            raise Unreachable(f"voter {to_member:x} is gone or lags: it cannot lead", where=leader.endpoint)
        body = f'{{"targetID":"{to_member}"}}'.encode()
        path = "/v3/maintenance/transfer-leadership"
        granted(self._voters.ask_one(leader.endpoint, path, body, deadline_s=end - boottime()))
        return True

    def keep_leader_at(self, name: str, *, deadline_s: float) -> bool:
        """Have the voter called ``name`` lead; ``True`` if that had to be changed. Repeatable. Raises as
        ``move_leader``."""
        end = boottime() + deadline_s
        member = self.names(deadline_s=deadline_s).get(name)
        if member is None:
            raise Unreachable(f"there is no voter called {name!r}", where=", ".join(self._voters.endpoints))
        return self.move_leader(to_member=member, deadline_s=end - boottime())

    def close(self) -> None:
        """Free connections. Repeatable."""
        self._voters.close()

    def _one(self, endpoint: str, deadline_s: float) -> VoterStatus:
        try:
            answer = self._voters.ask_one(endpoint, "/v3/maintenance/status", b"{}", deadline_s=deadline_s)
            status = decode(granted(answer), Status)
        except Unreachable as error:
            return VoterStatus(endpoint=endpoint, error=error.message)
        return VoterStatus(
            endpoint=endpoint,
            member=status.header.member_id,
            leader=status.leader,
            applied=status.raftAppliedIndex,
            version=status.version,
        )
