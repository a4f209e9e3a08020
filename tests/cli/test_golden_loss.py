"""Golden text of the worst of days: a primary that acknowledged alone is lost, left behind, and taken back."""

from __future__ import annotations

import msgspec

from failover.errors import Exit
from failover.model.record import Alone
from tests.cli.conftest import Failover
from tests.cli.golden import same
from tests.fakes.hosts import ALPHA, BETA, record, suspects
from tests.fakes.losses import certificate, left_behind
from tests.fakes.wired import Memory

# Far in the future: how long ago it was is then 0 on every day these tests run.
STRETCH = Alone(from_lsn=900, held_by=(BETA,), written_lsn=3_000_000, seconds_s=1800.0, at_unix_s=4e9)


def alone(world: Memory) -> None:
    """The record says that alpha acknowledges alone."""
    lease = world.store.acquire(name="setup", owner="test", ttl_s=60, deadline_s=1)
    now = world.record
    assert world.store.swap(
        expected_revision=now.revision, new=now.next(sync=(), alone=STRETCH), lease=lease, deadline_s=1
    )
    world.store.release(lease, deadline_s=1)


def gone(world: Memory) -> None:
    """alpha is gone, two observers say so."""
    world.hosts.silent.add("alpha")
    for site in ("beta", "gamma"):
        probes = suspects(site, record(), "alpha", "down").probes
        world.hosts.states[site] = msgspec.structs.replace(world.hosts.states[site], probes=probes)


def test_an_unprotected_primary_is_lost(failover: Failover, world: Memory) -> None:
    alone(world)
    same("record-alone", failover("record", "show").text())
    gone(world)
    same("status-alone-lost", failover("status").text())
    same("promote-not-accepted", failover("promote", "beta", "--yes").text())
    same("promote-too-little", failover("promote", "beta", "--accept-loss", "5m", "--yes").text())
    same("promote-accepted-dry-run", failover("promote", "beta", "--accept-loss", "31m", "--dry-run").text())
    shown = failover("promote", "beta", "--accept-loss", "31m", "--dry-run", "--format", "markdown")
    same("promote-accepted-markdown", shown.text())


def test_what_was_left_behind_comes_back(failover: Failover, world: Memory) -> None:
    alone(world)
    left_behind(world.store)
    for served in world.names.served_at.values():
        served["primary.www.social.test"] = ("127.220.0.1",)
    same("rejoin-no-evidence", failover("rejoin", "alpha", "--yes").text())
    loss = world.record.quarantine(ALPHA)
    world.hosts.saved[ALPHA] = certificate(accepted=loss)
    same("status-quarantined", failover("status").text())
    same("check-quarantined", failover("check").text())
    same("record-quarantined", failover("record", "show").text())
    same("certificate-list", failover("certificate", "list").text())
    same("certificate-show", failover("certificate", "show", certificate().id).text())
    same("certificate-json", failover("--json", "certificate", "list").text())
    same("rejoin-dry-run", failover("rejoin", "alpha", "--dry-run").text())
    same("rejoin-not-approved", failover("rejoin", "alpha").text())
    same("rejoin-markdown", failover("rejoin", "alpha", "--dry-run", "--format", "markdown").text())
    done = failover("rejoin", "alpha", "--yes", "--no-colour")
    assert done.status == Exit.DONE, done
    same("rejoin-done", done.out)
    assert "released by" in failover("record", "show").out
