"""create, list, verify, restore over stores in memory: what is left after each, whatever failed on the way."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from failover.engine.interrupt import Interrupt
from failover.errors import Damaged, Denied, LeaseHeld, ProviderRefuses, ReadOnly, Refused, Unreachable, UsageError
from failover.model.plan import Plan, Refusal, TakeSnapshot
from failover.model.run_report import RunReport
from failover.operations.carry_out import Answer, Approval, carry_out, propose
from failover.operations.proven import proven_age_s
from failover.operations.resume import resume
from failover.operations.snapshot_restore import RestoreAsk, restore_snapshot
from failover.operations.snapshot_shown import list_snapshots
from failover.operations.snapshot_verify import verify_snapshot
from failover.operations.snapshot_wishes import CreateWish, SnapshotWish
from failover.trust.age import AgeKey
from tests.fakes.journal import Killed, MemoryJournal
from tests.fakes.snapshots import Stored, stored
from tests.unit.data.small_world import Bytes, backup_tar


@pytest.fixture
def world(tmp_path: Path) -> Stored:
    return stored(tmp_path)


def do(world: Stored, wish: SnapshotWish) -> Answer:
    return carry_out(
        world.memory.wired, wish, approval=Approval(yes=True), watch=world.memory.watch(), interrupt=Interrupt()
    )


def create(world: Stored, *, full: bool = False) -> str:
    """The new snapshot's id."""
    answer = do(world, CreateWish(full=full))
    assert isinstance(answer, RunReport) and not answer.missed
    return list_snapshots(world.memory.wired).snapshots[-1].id


def objects(world: Stored) -> list[set[str]]:
    return [set(store.objects) for store in world.stores]


def test_the_first_is_full_and_the_next_stands_on_it(world: Stored) -> None:
    first, second = create(world), create(world)
    shown = list_snapshots(world.memory.wired).snapshots
    assert [(one.kind, one.parent, one.counts) for one in shown] == [("full", "", True), ("incremental", first, True)]
    assert shown[1].id == second and shown[1].taken_from == "beta"
    assert shown[1].why[0] == f"incremental on {first}"
    assert world.sources["beta"].asked[0] == b"" and b"WAL-Ranges" in world.sources["beta"].asked[1]
    one, other = objects(world)
    assert one == other and not any("probe" in key for key in one)


def test_full_is_full(world: Stored) -> None:
    create(world)
    create(world, full=True)
    assert [one.kind for one in list_snapshots(world.memory.wired).snapshots] == ["full", "full"]


def test_other_recipients_begin_anew(world: Stored) -> None:
    create(world)
    fleet = world.memory.wired.fleet
    assert fleet.snapshots is not None
    new = msgspec.structs.replace(fleet.snapshots, recipients=(world.keys[0].public, AgeKey.new().public))
    world.memory.wired.fleet = msgspec.structs.replace(fleet, snapshots=new)
    create(world)
    newest = list_snapshots(world.memory.wired).snapshots[-1]
    assert newest.kind == "full" and "other keys" in newest.why[0]


def test_dry_run_leaves_nothing(world: Stored) -> None:
    plan = propose(world.memory.wired, CreateWish())
    assert isinstance(plan, Plan) and isinstance(plan.steps[0].action, TakeSnapshot)
    assert objects(world) == [set(), set()]


def test_refused_with_one_provider(world: Stored) -> None:
    world.stores[1].read_only = True
    refusal = propose(world.memory.wired, CreateWish())
    assert isinstance(refusal, Refusal)
    assert "s-south: takes no writes" in refusal.summary


def test_a_store_that_breaks_in_the_middle_ends_it_and_the_next_run_catches_up(world: Stored) -> None:
    create(world)
    # The probe has two calls; after it the store takes one more byte and no manifest.
    broken = world.stores[1]
    real = broken.put_stream

    async def full(key: str, chunks: object, *, stall_s: float) -> object:
        raise ReadOnly("takes no writes", where="s-south")

    broken.put_stream = full  # type: ignore[assignment, method-assign]
    with pytest.raises(ProviderRefuses, match="only s-north has the whole"):
        do(world, CreateWish())
    broken.put_stream = real  # type: ignore[method-assign]
    half = list_snapshots(world.memory.wired).snapshots[-1]
    assert not half.counts and [one.whole for one in half.stores] == [True]
    answer = do(world, CreateWish())
    assert isinstance(answer, RunReport) and not answer.missed
    assert all(one.counts for one in list_snapshots(world.memory.wired).snapshots)
    assert any("s-south" in step.title for step in answer.steps)


def test_a_server_that_breaks_off_leaves_an_orphan_that_is_no_snapshot(world: Stored) -> None:
    tar = backup_tar(world.sources["beta"].files)
    world.sources["beta"].stream = Bytes(tar, until=9000, error=Unreachable("pg_basebackup ended with 1"))
    with pytest.raises(ProviderRefuses, match="pg_basebackup ended"):
        do(world, CreateWish())
    assert list_snapshots(world.memory.wired).snapshots == ()
    world.sources["beta"].stream = None
    create(world)


def test_two_at_once(world: Stored) -> None:
    began, go_on = threading.Event(), threading.Event()
    tar = backup_tar(world.sources["beta"].files)

    class Waiting(Bytes):
        def read(self, size: int) -> bytes:
            began.set()
            go_on.wait(30)
            return super().read(size)

    world.sources["beta"].stream = Waiting(tar)
    first = threading.Thread(target=do, args=(world, CreateWish()))
    first.start()
    try:
        assert began.wait(30)
        with pytest.raises(LeaseHeld, match="snapshot create"):
            do(world, CreateWish())
    finally:
        go_on.set()
        first.join(30)
    assert len(list_snapshots(world.memory.wired).snapshots) == 1


def test_a_snapshot_keeps_no_move_waiting(world: Stored) -> None:
    """The fleet's own lease is free while one is taken."""
    seen: list[object] = []
    tar = backup_tar(world.sources["beta"].files)

    class Looking(Bytes):
        def read(self, size: int) -> bytes:
            seen.append(world.memory.store.holder(name="fleet", deadline_s=1))
            return super().read(size)

    world.sources["beta"].stream = Looking(tar)
    do(world, CreateWish())
    assert seen and set(seen) == {None}


def test_taken_without_a_record(world: Stored) -> None:
    """What can be saved is saved, also where nothing can move any more."""

    class Silent:
        def read(self, **_: object) -> object:
            raise Unreachable("no majority of the voters answers")

        acquire = holder = read

    world.memory.wired._parts["record"] = Silent()
    create(world)


def killed(world: Stored, wish: SnapshotWish, *, at: int, stored: bool) -> str:
    """The run that died at that write of its journal; another process has the journal now."""
    kept = world.memory.journal.kept
    dying = MemoryJournal(kept, crash_at=at, stored=stored)
    world.memory.wired._parts["journal"] = dying
    with pytest.raises(Killed):
        do(world, wish)
    run = list(kept)[-1]
    kept[run].owner = msgspec.structs.replace(kept[run].owner, pid=1, start_ticks=1)
    world.memory.wired._parts["journal"] = MemoryJournal(kept)
    return run


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_create_killed_at_each_write_of_its_journal(world: Stored, at: int, stored: bool) -> None:
    run = killed(world, CreateWish(), at=at, stored=stored)
    before = [one.id for one in list_snapshots(world.memory.wired).snapshots]
    if (at, stored) != (3, True):  # then it was over
        report = resume(world.memory.wired, run, undo=False, watch=world.memory.watch(), interrupt=Interrupt())
        assert report.state == "done"
    found = list_snapshots(world.memory.wired).snapshots
    assert [one.counts for one in found] == [True] and [one.run for one in found] == [run]
    assert not before or before == [found[0].id]


def test_resume_of_a_run_that_died_with_one_manifest_copies(world: Stored) -> None:
    run = killed(world, CreateWish(), at=2, stored=False)
    (taken,) = list_snapshots(world.memory.wired).snapshots
    world.stores[1].objects.clear()
    resume(world.memory.wired, run, undo=False, watch=world.memory.watch(), interrupt=Interrupt())
    found = list_snapshots(world.memory.wired).snapshots
    assert [(one.id, one.counts) for one in found] == [(taken.id, True)]
    assert len(world.sources["beta"].asked) == 1


def test_verify_proves_and_says_so(world: Stored, tmp_path: Path) -> None:
    taken = create(world)
    assert proven_age_s(world.memory.wired) is None
    found = verify_snapshot(world.memory.wired, "", "alpha", (), world.memory.watch())
    assert found.id == taken and found.verified is not None
    assert (found.verified.site, found.verified.store, found.verified.rows) == ("alpha", "s-north", 1)
    assert "opens with each of 2 of 2 recipients alone" in found.verified.checks
    age = proven_age_s(world.memory.wired)
    assert age is not None and age < 60
    listed = list_snapshots(world.memory.wired).snapshots[0].verified
    assert listed is not None and listed.site == "alpha"
    assert not list((tmp_path / ".failover/snapshots/scratch").glob("verify-*"))


def test_verify_alternates(world: Stored) -> None:
    create(world)
    sites = [
        found.verified.site
        for _ in range(2)
        if (found := verify_snapshot(world.memory.wired, "", "", (), world.memory.watch())).verified is not None
    ]
    assert sites == ["alpha", "beta"]


def test_verify_finds_what_the_other_store_still_has(world: Stored) -> None:
    create(world)
    key = next(key for key in world.stores[0].objects if key.endswith("data.tar.zst.age"))
    world.stores[0].flip(key, 2000)
    with pytest.raises(Damaged, match="s-south still has a good copy"):
        verify_snapshot(world.memory.wired, "", "alpha", (), world.memory.watch())
    verify_snapshot(world.memory.wired, "", "beta", (), world.memory.watch())


def test_verify_compares_rows(world: Stored) -> None:
    create(world)
    world.scratch.rows = 2
    with pytest.raises(Damaged, match="differs from the source"):
        verify_snapshot(world.memory.wired, "", "beta", (), world.memory.watch())


def test_what_a_killed_verification_left_is_swept(world: Stored) -> None:
    create(world)
    left = world.memory.wired.snapshots_dir / "scratch" / "verify-old" / "copy.restoring" / "data"
    left.mkdir(parents=True)
    verify_snapshot(world.memory.wired, "", "beta", (), world.memory.watch())
    assert left in world.scratch.swept and not left.parent.parent.exists()


def test_a_wrong_key(world: Stored, tmp_path: Path) -> None:
    create(world)
    for path in (tmp_path / "keys").glob("*.key"):
        path.unlink()
    with pytest.raises(UsageError, match="no private age key"):
        verify_snapshot(world.memory.wired, "", "beta", (), world.memory.watch())
    world.keys.append(AgeKey.new())
    stranger = world.key_file(2, tmp_path / "stranger")
    with pytest.raises(Denied, match="is not encrypted to"):
        verify_snapshot(world.memory.wired, "", "beta", (stranger,), world.memory.watch())
    one = world.key_file(1, tmp_path / "drawer")
    verify_snapshot(world.memory.wired, "", "beta", (one,), world.memory.watch())
    assert any(world.keys[0].public in told.title for told in world.memory.told)


def test_restore_into_a_folder_and_never_over_anything(world: Stored, tmp_path: Path) -> None:
    create(world)
    second = create(world)
    done = restore_snapshot(world.memory.wired, RestoreAsk(into=tmp_path / "copy"), (), world.memory.watch())
    assert done.id == second and done.exact and (tmp_path / "copy" / "PG_VERSION").read_bytes() == b"18\n"
    with pytest.raises(UsageError, match="is not empty"):
        restore_snapshot(world.memory.wired, RestoreAsk(into=tmp_path / "copy"), (), world.memory.watch())
    inside = RestoreAsk(into=tmp_path / ".failover" / "hosts" / "alpha" / "data")
    with pytest.raises(UsageError, match="own hosts"):
        restore_snapshot(world.memory.wired, inside, (), world.memory.watch())


def test_restore_at_a_site_reads_its_provider_first(world: Stored) -> None:
    taken = create(world)
    world.stores[0].faults = []
    key = next(key for key in world.stores[0].objects if key.endswith("data.tar.zst.age"))
    world.stores[0].flip(key, 2000)
    done = restore_snapshot(world.memory.wired, RestoreAsk(site="alpha"), (), world.memory.watch())
    assert Path(done.into) == world.memory.wired.snapshots_dir / "restored" / "alpha" / taken
    assert any("s-north" in note for note in done.notes)  # passed over, and said so


def test_without_shipped_wal_no_snapshot_leads_further(world: Stored, tmp_path: Path) -> None:
    create(world)
    ask = RestoreAsk(into=tmp_path / "copy", latest=True)
    with pytest.raises(Refused, match="no snapshot that counts leads"):
        restore_snapshot(world.memory.wired, ask, (), world.memory.watch())


def test_a_restore_that_was_killed_goes_on_where_it_was(
    world: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(world)
    create(world)
    real = world.scratch.recover

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.scratch, "recover", dies)
    ask = RestoreAsk(into=tmp_path / "copy")
    with pytest.raises(KeyboardInterrupt):
        restore_snapshot(world.memory.wired, ask, (), world.memory.watch())
    assert not (tmp_path / "copy").exists()
    monkeypatch.setattr(world.scratch, "recover", real)
    read: list[str] = []
    for store in world.stores:
        stream = store.get_stream

        def counted(key: str, *, stall_s: float, start: int = 0, stream: object = stream) -> object:
            read.append(key)
            return stream(key, stall_s=stall_s, start=start)  # type: ignore[operator]

        monkeypatch.setattr(store, "get_stream", counted)
    restore_snapshot(world.memory.wired, ask, (), world.memory.watch())
    assert (tmp_path / "copy" / "PG_VERSION").exists() and not (tmp_path / "copy.restoring").exists()
    # The incremental was whole already and is not fetched again; what was being put together is.
    assert len([key for key in read if key.endswith("data.tar.zst.age")]) <= 1


def test_a_snapshot_of_another_fleet_is_none_of_ours(world: Stored) -> None:
    taken = create(world)
    stranger = stored(world.folder / "other")
    for ours, theirs in zip(world.stores, stranger.stores, strict=True):
        theirs.objects = dict(ours.objects)
    found = list_snapshots(stranger.memory.wired)
    assert found.snapshots == () and all("not a key of this fleet" in line for line in found.damaged)
    with pytest.raises(Damaged, match="is no snapshot of this fleet"):
        verify_snapshot(stranger.memory.wired, taken, "alpha", (), stranger.memory.watch())
