"""Small parts of the operations: every action has its handler, first looks, the state folder, decoding in threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from failover.engine.clock import BootClock
from failover.engine.handler import Context, See
from failover.errors import FailoverError
from failover.model.plan import Actions, AwaitPrimary, Migrate
from failover.model.run_report import PreviewShown
from failover.operations.carry_out import empty_state_folder, whole_fleet
from failover.operations.handlers import handlers
from failover.operations.handlers_database import AwaitPrimaryHandler
from failover.operations.inspect import look, names
from failover.operations.preview import preview
from failover.operations.session import Session
from failover.operations.verbs import DeployWish, DestroyWish, first_member
from failover.operations.wired import Makers, Wired
from failover.planner.switchover_steps import await_primary
from tests.fakes.hosts import ALPHA, BETA, fleet, record
from tests.fakes.provisioner import MemoryProvisioner
from tests.fakes.wired import SECRETS, bootstrap_of, memory

FIRST_DECODE = """
import sys, threading
sys.setswitchinterval(1e-6)
from failover.model import observation
from failover.model.ready import ready
import msgspec
if {prepared}:
    ready(observation)
gate = threading.Barrier(6)
def go():
    gate.wait()
    try:
        msgspec.json.decode(b'{{"site":"a","database":{{"state":"x"}}}}', type=observation.AgentState)
    except msgspec.ValidationError:
        pass
threads = [threading.Thread(target=go) for _ in range(6)]
[one.start() for one in threads]
[one.join() for one in threads]
"""


def test_every_action_has_a_handler() -> None:
    assert set(handlers(Session(wired=None))) == set(get_args(Actions))  # type: ignore[arg-type]


def test_first_decodes_in_threads_do_not_crash_once_the_tables_are_made() -> None:
    code = FIRST_DECODE.format(prepared=True)
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def test_a_look_says_who_did_not_answer_and_why(tmp_path: Path) -> None:
    world = memory(tmp_path)
    world.hosts.silent.add("gamma")
    seen = look(world.wired)
    assert seen.record == world.record
    assert seen.site("gamma").state is None
    assert "does not answer" in seen.site("gamma").error
    assert seen.site("alpha").state is not None


def test_names_of_a_silent_server_are_unknown(tmp_path: Path) -> None:
    world = memory(tmp_path)
    world.names.dead.add("beta")
    found = {one.site: one for one in names(world.wired, look(world.wired))}
    assert found["alpha"].answers is not None
    assert (found["beta"].answers, bool(found["beta"].error)) == (None, True)


def test_the_first_member_is_the_same_until_a_destroy(tmp_path: Path) -> None:
    world = memory(tmp_path)
    assert first_member(world.wired) == first_member(world.wired)
    assert first_member(world.wired).startswith("alpha_")


def test_the_state_folder_is_emptied_whole(tmp_path: Path) -> None:
    world = memory(tmp_path)
    (world.wired.state_dir / "trust").mkdir(parents=True)
    (world.wired.state_dir / "trust" / "ca.key").write_text("x")
    (world.wired.state_dir / "journal.db").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (world.wired.state_dir / "link").symlink_to(tmp_path / "elsewhere")
    empty_state_folder(world.wired)
    assert list(world.wired.state_dir.iterdir()) == []
    assert (tmp_path / "elsewhere").is_dir()


def test_only_a_destroy_of_every_site_is_of_the_whole_fleet(tmp_path: Path) -> None:
    wired = memory(tmp_path).wired
    assert whole_fleet(wired, DestroyWish())
    assert whole_fleet(wired, DestroyWish(("gamma", "beta", "alpha")))
    assert not whole_fleet(wired, DestroyWish(("gamma",)))
    assert not whole_fleet(wired, DeployWish())


def test_a_preview_of_one_silent_provider_hides_no_other(tmp_path: Path) -> None:
    provisioner = MemoryProvisioner()
    provisioner.trouble["beta"] = "unreachable"

    def never() -> object:
        raise FailoverError("not used here")

    makers = Makers(
        hosts=never, record=never, journal=never, dns=never, measure=never, stores=never, store_look=never,  # type: ignore[arg-type]
        provisioner=lambda: provisioner, secrets=lambda: SECRETS, bootstrap=bootstrap_of, bucket=never,  # type: ignore[arg-type]
        source=never, scratch=never,  # type: ignore[arg-type]
        media_index=never,  # type: ignore[arg-type]
    )  # fmt: skip
    wired = Wired(fleet=fleet(), fleet_path=tmp_path / "fleet.yaml", state_dir=tmp_path, makers=makers)
    shown = preview(wired)
    assert isinstance(shown, PreviewShown)
    assert [one.site for one in shown.sites] == ["alpha", "gamma"]
    assert list(shown.failed) == ["beta"]


@pytest.mark.parametrize("part", ["hosts", "record", "journal"])
def test_a_part_is_made_once(part: str, tmp_path: Path) -> None:
    wired = memory(tmp_path).wired
    assert getattr(wired, part) is getattr(wired, part)


def test_a_deploy_waits_for_whoever_is_primary_by_then_and_a_move_for_its_target(tmp_path: Path) -> None:
    """A standby took over in the middle of a deploy once, and the deploy waited in vain for the old primary."""
    world = memory(tmp_path, record(primary=BETA, sync=(ALPHA,)))
    step = await_primary(fleet(), "alpha", lane="fleet", or_whoever=True)
    session = Session(wired=world.wired, resumed=True)
    context = Context(
        run="r", step=step, lease=None, until_s=BootClock().boottime() + 30, clock=BootClock(), performed=False,
        undoing=False, note=lambda _text: None, halting=lambda: False,
    )  # fmt: skip
    deployed = AwaitPrimary(site="alpha", or_whoever=True)
    assert session.primary_site(deployed, context) == session.primary_site(Migrate(site="alpha"), context) == "beta"
    handler = AwaitPrimaryHandler(session)
    assert handler.look(deployed, context).see is See.DONE
    assert handler.look(AwaitPrimary(site="alpha"), context).see is See.NOT_DONE
