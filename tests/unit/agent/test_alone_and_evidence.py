"""What a keeper remembers of being alone, and how it finds and makes the evidence of a quarantined copy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from failover.agent.evidence import Evidence
from failover.agent.view import HostView, PeerView
from failover.agent.watch import AloneClock
from failover.errors import Damaged
from failover.model.certificate import Certificate
from failover.model.observation import DatabaseFacts, Kept
from failover.model.record import AcceptedLoss, Alone, Record
from failover.model.spec import Peer
from tests.fakes.hosts import ALPHA, BETA, record, with_database
from tests.fakes.losses import certificate

ALONE = Alone(from_lsn=1, written_lsn=2, seconds_s=10.0, at_unix_s=1000.0)
LOSS = AcceptedLoss(epoch=6, run="p", source=ALPHA, target=BETA, fork_lsn=500, accepted_s=60.0)


def test_the_stretch_goes_on_by_the_boot_clock_and_over_a_restart_by_the_wall_clock() -> None:
    clock = AloneClock()
    assert clock.seconds(None, now_s=5.0, now_unix_s=0.0) > 0, "it is published at once"
    assert clock.seconds(ALONE, now_s=100.0, now_unix_s=1000.0) == 10.001
    assert clock.seconds(ALONE, now_s=107.0, now_unix_s=1000.5) == 17.0, "whatever was done to the wall clock"
    assert AloneClock().seconds(ALONE, now_s=3.0, now_unix_s=1060.0) == 70.0, "the agent before is dead: its wall clock"
    assert AloneClock().seconds(ALONE, now_s=3.0, now_unix_s=0.0) >= ALONE.seconds_s, "never less than was said"


class Disk:
    """The part of a database that is asked here."""

    def __init__(self, *saved: Certificate, damaged: bool = False) -> None:
        self.saved = saved
        self.damaged = damaged
        self.asked: list[tuple[int, AcceptedLoss | None]] = []

    def certificates(self) -> tuple[Certificate, ...]:
        if self.damaged:
            raise Damaged("somebody changed it")
        return self.saved

    async def save_evidence(self, fork_lsn: int, accepted: AcceptedLoss | None) -> Certificate:
        self.asked.append((fork_lsn, accepted))
        return certificate()


def host(folder: Path, of: Record, disk: Any) -> tuple[HostView, Evidence]:
    view = HostView(host_dir=folder, site="alpha", provider="north")
    view.record = of
    view.database = DatabaseFacts(state="stopped", member=ALPHA, was_primary=True)
    return view, Evidence(view, disk)


QUARANTINED = record(primary=BETA, sync=(), epoch=6, accepted=(LOSS,))


def test_evidence_is_found_only_for_the_quarantined_copy(tmp_path: Path) -> None:
    view, evidence = host(tmp_path, QUARANTINED, Disk(certificate()))
    assert evidence.look(view.database) == ""
    assert view.kept == Kept(id=certificate().id, commits=1700, wal_bytes=99_999_000)
    view.record = QUARANTINED.release(ALPHA, "q")
    assert evidence.look(view.database) == "" and view.kept is None
    view, evidence = host(tmp_path, QUARANTINED, Disk(certificate("alpha_0000000f")))
    assert evidence.look(view.database) == "" and view.kept is None, "another copy's is not this one's"


def test_a_changed_certificate_is_trouble_and_no_evidence(tmp_path: Path) -> None:
    view, evidence = host(tmp_path, QUARANTINED, Disk(damaged=True))
    assert "changed" in evidence.look(view.database) and view.kept is None


def test_it_is_counted_from_the_true_fork_with_what_was_accepted(tmp_path: Path) -> None:
    disk = Disk()
    view, evidence = host(tmp_path, QUARANTINED, disk)
    asyncio.run(evidence.save(500))
    peer = PeerView(Peer(site="beta", provider="south", address="127.0.0.1", agent_port=1, database_port=2))
    state = with_database("beta", QUARANTINED)
    peer.state = msgspec.structs.replace(state, database=msgspec.structs.replace(state.database, fork_lsn=480))
    view.peers["beta"] = peer
    asyncio.run(evidence.save(500))
    view.record = record(primary=BETA, sync=(), epoch=6)
    asyncio.run(evidence.save(470))
    assert disk.asked == [(500, LOSS), (480, LOSS), (470, None)]
