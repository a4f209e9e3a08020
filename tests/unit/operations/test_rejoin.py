"""A quarantined copy's way back, a promotion that accepts a loss, and certificates on the operator's side."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from failover.engine.interrupt import Interrupt
from failover.errors import Damaged, Refused, UsageError
from failover.model.plan import Plan, Refusal
from failover.model.record import Alone
from failover.model.run_report import RunReport
from failover.operations.carry_out import Answer, Approval, carry_out, propose
from failover.operations.certificates import fetch, kept, one_of
from failover.operations.inspect import look
from failover.operations.verbs import PromoteWish, RejoinWish, Wish
from tests.fakes.hosts import ALPHA, BETA, record, suspects
from tests.fakes.losses import certificate, left_behind
from tests.fakes.wired import Memory, memory


@pytest.fixture
def world(tmp_path: Path) -> Memory:
    """alpha has been alone for a while."""
    alone = Alone(from_lsn=900, held_by=(BETA,), written_lsn=5000, seconds_s=30.0, at_unix_s=0.0)
    return memory(tmp_path, record(sync=(), alone=alone))


def run(world: Memory, wish: Wish, approval: Approval | None = None) -> Answer:
    how = approval if approval is not None else Approval(yes=True)
    return carry_out(world.wired, wish, approval=how, watch=world.watch(), interrupt=Interrupt())


def test_a_copy_is_released_only_after_its_evidence_and_then_rejoins(world: Memory) -> None:
    left_behind(world.store)
    for served in world.names.served_at.values():
        served["primary.www.social.test"] = ("127.220.0.1",)
    refused = run(world, RejoinWish("alpha"))
    assert isinstance(refused, Refusal)
    assert {one.code for one in refused.findings} == {"evidence-missing"}
    world.hosts.saved[ALPHA] = certificate()
    proposal = propose(world.wired, RejoinWish("alpha"))
    assert isinstance(proposal, Plan)
    with pytest.raises(Refused, match="approval names"):
        run(world, RejoinWish("alpha"), Approval(digest="0123456789ab"))
    assert world.record.quarantine(ALPHA) is not None
    done = run(world, RejoinWish("alpha"), Approval(digest=proposal.digest))
    assert isinstance(done, RunReport) and done.missed == ()
    now = world.record
    assert now.accepted[0].released_by == done.run and now.version == 1
    assert now.sync == ("alpha_00000009",)


def test_a_quarantined_site_is_asked_although_a_witness_finds_its_database_down(world: Memory) -> None:
    left_behind(world.store)
    world.hosts.saved[ALPHA] = certificate()
    probes = suspects("gamma", record(), "alpha", "down").probes
    world.hosts.states["gamma"] = msgspec.structs.replace(world.hosts.states["gamma"], probes=probes)
    state = look(world.wired).site("alpha").state
    assert state is not None and state.kept is not None
    world.hosts.states["alpha"] = msgspec.structs.replace(state, database=state.database, kept=None)
    done = run(world, RejoinWish("alpha"))
    assert isinstance(done, RunReport), done
    assert look(world.wired).site("alpha").state is None, "released: from now on a witness's word is enough"


def test_a_promotion_that_accepts_a_loss_claims_it_in_the_record(world: Memory) -> None:
    world.hosts.silent.add("alpha")
    for site in ("beta", "gamma"):
        probes = suspects(site, record(), "alpha", "down").probes
        world.hosts.states[site] = msgspec.structs.replace(world.hosts.states[site], probes=probes)
    for accepted_s in (0.0, 30.0):
        assert isinstance(propose(world.wired, PromoteWish("beta", accepted_s)), Refusal)
    proposal = propose(world.wired, PromoteWish("beta", 1e10))
    assert isinstance(proposal, Plan) and "acknowledged alone" in proposal.at_risk


def test_certificates_are_fetched_kept_and_outlive_their_site(world: Memory) -> None:
    world.hosts.saved[ALPHA] = certificate()
    first = fetch(world.wired)
    assert (first.certificates, first.failed) == ((certificate(),), {})
    world.hosts.silent.add("alpha")
    later = fetch(world.wired)
    assert later.certificates == (certificate(),) and set(later.failed) == {"alpha"}
    path = world.wired.state_dir / "certificates" / f"{certificate().id}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="no certificate"):
        one_of(later, "nothing")
    path.write_bytes(path.read_bytes().replace(b'"commits":1700', b'"commits":17'))
    with pytest.raises(Damaged, match="changed"):
        kept(path.parent)


def test_a_certificate_that_was_changed_at_its_site_is_not_taken(world: Memory) -> None:
    world.hosts.saved[ALPHA] = msgspec.structs.replace(certificate(), commits=1)
    found = fetch(world.wired)
    assert found.certificates == () and "sealed" in found.failed["alpha"]
