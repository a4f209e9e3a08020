"""What this agent knows now, in one place. Changed only on the agent's event loop; nothing here decides."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from failover.model.observation import AgentState, DatabaseFacts, Kept, ProbeFacts
from failover.model.record import Record
from failover.model.spec import HostSpec, Peer
from failover.planner.floor import too_old
from failover.planner.gate import GateOrder, Hold
from failover.planner.verdict import Tally, verdict


def boot_s() -> float:
    """CLOCK_BOOTTIME: it goes on while a laptop's lid is closed, and nobody can set it (safety D5)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PeerView:
    """One peer: tallies of its probes, its agent's last answer and when that came."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.database = Tally()
        self.agent = Tally()
        self.state: AgentState | None = None
        self.state_at_s = 0.0

    @property
    def serving_epoch(self) -> int:
        """The epoch in which this peer's agent says that it serves; -1 when it does not say so."""
        state = self.state
        return state.record.epoch if state is not None and state.serving and state.record is not None else -1


class EpochFloor:
    """The newest epoch that was ever read at this host, kept beside the data directory so that an agent which starts
    anew knows it (safety C8). Replaced whole; what a power cut takes back is at most the last change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text().strip() if path.exists() else ""
        # Nothing but a number is ever written; what a power cut left of it says nothing.
        self.epoch = self._stored = int(text) if text.isdecimal() else 0

    def raise_to(self, epoch: int) -> str:
        """Never lower. Why it could not be stored (a full disk), or ``""``; it holds in this process all the same, and
        the next call tries again."""
        self.epoch = max(epoch, self.epoch)
        if self.epoch == self._stored:
            return ""
        temporary = self._path.with_name(".epoch.new")
        try:
            temporary.write_text(f"{self.epoch}\n")
            temporary.replace(self._path)
        except OSError as error:
            return f"the newest epoch cannot be stored: {error}"
        self._stored = self.epoch
        return ""


class HostView:
    """Shared by follower, prober, keeper, gates and API of one agent."""

    def __init__(self, *, host_dir: Path, site: str, provider: str) -> None:
        self.host_dir = host_dir
        self.site = site
        self.provider = provider
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.spec: HostSpec | None = None
        self.spec_digest = ""
        self.record: Record | None = None
        self.floor = EpochFloor(host_dir / "epoch")
        self.record_read_s: float | None = None
        self.record_since_s = 0.0
        self.kept: Kept | None = None
        self.move_seen: tuple[str, float] = ("", 0.0)
        self.move_ended_at_s: float | None = None  # of a planned move that left the primary as it was
        self.database = DatabaseFacts(state="absent")
        self.peers: dict[str, PeerView] = {}
        self.hold: Hold | None = None
        self.order: GateOrder | None = None
        self.recovered_lsn: int | None = None
        self.evidence_s: float | None = None
        self.serving = False
        self.quiesce: Hold | None = None
        self.unprotected_s = 0.0
        self.doing = "starting"
        self.trouble: dict[str, str] = {}
        self.voter_leader = False
        self.look_now = asyncio.Event()  # the follower should read the record
        self.changed = asyncio.Event()  # the keeper should decide again
        self.turned = asyncio.Event()  # set once when this site's part turned; a new one waits for the next turn
        self.services_due = asyncio.Event()  # services should be looked at again; they clear it
        self.moved = asyncio.Event()  # set once when the record names another epoch; as ``turned``
        self._part: tuple[object, ...] = ()

    def adopt_spec(self, spec: HostSpec, digest: str = "") -> None:
        """Take a new spec; ``digest`` is of its content as it was sent, with what this agent does not know in it.
        Peers that stay keep their tallies."""
        self.spec, self.spec_digest = spec, digest or spec.digest()
        known = self.peers
        self.peers = {peer.site: known.get(peer.site, PeerView(peer)) for peer in spec.peers}
        for peer in spec.peers:
            self.peers[peer.site].peer = peer
        if spec.database is None:
            self.doing = "witness"
        self.changed.set()

    def looked(self) -> None:
        """After each look at this site: who waits for its part to turn is woken the moment it did."""
        record, database = self.record, self.database
        part = (database.state, database.member, self.serving, record.epoch if record is not None else -1)
        if part != self._part:
            self._part = part
            self.turned.set()
            self.turned = asyncio.Event()

    def saw_record(self, record: Record | None, *, asked_at_s: float) -> bool:
        """A linearizable read that began at ``asked_at_s`` answered. An older epoch than one that was ever read here is
        never taken, and is no evidence of anything: false then, and it is shown."""
        went_back = too_old(record, self.floor.epoch)
        # One that was asked for before the newest came is only late.
        if went_back and asked_at_s >= self.record_since_s:
            self.trouble["record"] = went_back
            return False
        if record is not None:
            self.trouble.pop("epoch", None)
            if unstored := self.floor.raise_to(record.epoch):
                self.trouble["epoch"] = unstored
        self._take(record, asked_at_s=asked_at_s)
        return True

    def _take(self, record: Record | None, *, asked_at_s: float) -> None:
        if record is not None and self.record is not None and record.revision < self.record.revision:
            return
        self.record_read_s = asked_at_s
        self.evidence_s = max(self.evidence_s or 0.0, asked_at_s)
        if record is None or record == self.record:
            return
        before = self.record.move if self.record is not None else None
        if self.record is None or record.epoch != self.record.epoch:
            self.moved.set()
            self.moved = asyncio.Event()
        self.record = record
        if before is not None and (record.move is None or record.move.run != before.run):
            self._end_move(before.run)
        if before is not None and before.kind == "switchover" and record.move != before:
            self.move_ended_at_s = boot_s() if record.primary == before.source else None
        self.record_since_s = boot_s()
        run = record.move.run if record.move is not None else ""
        if run != self.move_seen[0]:
            self.move_seen = (run, boot_s())
        self.changed.set()

    def hear(self, run: str) -> None:
        """The run that holds the gates here is alive."""
        if self.hold is not None and self.hold.run == run:
            self.hold = msgspec.structs.replace(self.hold, heard_s=boot_s())

    def _end_move(self, run: str) -> None:
        """A move that left the record is over, whatever its run believes: nobody waits for it any longer."""
        if self.hold is not None and self.hold.run == run:
            self.hold = None
        if self.quiesce is not None and self.quiesce.run == run:
            self.quiesce = None
            self.services_due.set()

    def quiesced(self) -> bool:
        """A run's quiesce is in force. Like a hold it is over by itself: by time, or in the next epoch."""
        quiesce, record = self.quiesce, self.record
        if quiesce is None or record is None:
            return False
        return record.epoch == quiesce.epoch and boot_s() < quiesce.until_s

    def may_reign(self) -> bool:
        """Nothing is known that says this site is not the primary. Enough to let what runs at a primary run on (a
        standby that is away for a moment, or an agent that has just started, is no reason to stop an app), never
        enough to start it."""
        record = self.record
        if record is None:
            return True
        return record.primary_site == self.site and self.database.state in ("primary", "starting", "absent")

    def verdict_on(self, site: str) -> str:
        """This host's own verdict on a peer: its database's where it has one, else its agent's."""
        view, spec = self.peers.get(site), self.spec
        if view is None or spec is None:
            return "unknown"
        tally = view.database if view.peer.database_port else view.agent
        return verdict(tally, failures_needed=spec.probe_failures, every_s=spec.probe_every_s, now_s=boot_s())

    def probe_facts(self) -> tuple[ProbeFacts, ...]:
        """For ``/v1/state``: what peers may use as this observer's opinion."""
        now = boot_s()

        def age(moment: float | None) -> float | None:
            return None if moment is None else round(now - moment, 3)

        return tuple(
            ProbeFacts(
                site=site,
                database_failures=view.database.failures,
                database_ok_s_ago=age(view.database.ok_at_s),
                agent_failures=view.agent.failures,
                agent_ok_s_ago=age(view.agent.ok_at_s),
                verdict=self.verdict_on(site),
                position=view.state.database.position if view.state is not None else 0,
            )
            for site, view in self.peers.items()
        )
