"""The machine's own timetable: what is written, twice is once, and other people's entries stay."""

from __future__ import annotations

import os
import shlex
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from failover.errors import Unreachable, UsageError
from failover.model.stores import SnapshotRules
from failover.operations.schedule import Job, Places, install, jobs, listed, remove, texts
from tests.fakes.hosts import fleet

JOB = Job(
    fleet="demo", command=("/usr/bin/python3", "-m", "failover", "--fleet", "/a b/50%.yaml", "check"),
    every=timedelta(minutes=5),
)  # fmt: skip
OTHERS = "MAILTO=me\n0 3 * * * backup # failover-check-demo-not\n*/5 * * * * other # failover-check-another\n"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``crontab`` and ``systemctl`` that keep what they are told in files, found before the machine's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    table, calls = tmp_path / "table", tmp_path / "calls"
    scripts = {
        "crontab": f'#!/bin/sh\n[ "$1" = -l ] && {{ cat {table} 2>/dev/null; exit $?; }}\ncat > {table}\n',
        "systemctl": f'#!/bin/sh\necho "$@" >> {calls}\n[ ! -e {tmp_path}/broken ]\n',
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def cron(programs: Path) -> Places:
    return Places(units=None, user=False, crontab=str(programs / "bin" / "crontab"))


def systemd(programs: Path, *, user: bool = False) -> Places:
    return Places(units=programs / "units", user=user, crontab="")


def test_a_crontab_line_is_there_once_and_others_stay(programs: Path) -> None:
    (programs / "table").write_text(OTHERS)
    for _ in range(2):
        assert install(JOB, cron(programs)) == ("crontab",)
    lines = (programs / "table").read_text().splitlines()
    assert lines[:3] == OTHERS.splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("*/5 * * * * /usr/bin/python3 -m failover --fleet ")
    assert "\\%" in lines[3]
    assert len(listed(cron(programs))) == 3
    assert remove(JOB.name, cron(programs)) == ("crontab",)
    assert (programs / "table").read_text() == OTHERS
    assert remove(JOB.name, cron(programs)) == ()


def test_a_first_crontab(programs: Path) -> None:
    install(JOB, cron(programs))
    line = (programs / "table").read_text()
    assert shlex.split(line.replace("\\%", "%"))[5:-2] == list(JOB.command)


@pytest.mark.parametrize("every", [timedelta(seconds=90), timedelta(seconds=10), timedelta(hours=5)])
def test_cron_cannot_do_everything(every: timedelta, programs: Path) -> None:
    with pytest.raises(UsageError, match="cron cannot"):
        texts(Job(fleet="demo", command=("true",), every=every), cron(programs))


def test_a_fleet_with_snapshots_has_four_entries(programs: Path) -> None:
    rules = SnapshotRules(recipients=("age1a", "age1b"))
    wanted = jobs(msgspec.structs.replace(fleet(), snapshots=rules), ("failover",), every=timedelta(minutes=1))
    for _ in range(2):
        for job in wanted:
            install(job, cron(programs))
    assert (programs / "table").read_text().splitlines() == [
        "*/1 * * * * failover check # failover-check-demo",
        "7 */1 * * * failover snapshot create --yes # failover-snapshot-demo",
        "23 4 * * * failover snapshot verify # failover-verify-demo",
        "43 3 * * * failover snapshot prune --yes # failover-prune-demo",
    ]
    assert len(listed(cron(programs))) == 4
    for job in wanted:
        install(job, systemd(programs))
    assert "TimeoutStartSec=infinity" in (programs / "units" / "failover-snapshot-demo.service").read_text()
    assert len(listed(systemd(programs))) == 4


def test_a_fleet_without_snapshots_has_one() -> None:
    assert [job.kind for job in jobs(fleet(), ("failover",), every=timedelta(minutes=1))] == ["check"]


def test_a_timer(programs: Path) -> None:
    where = systemd(programs)
    for _ in range(2):
        written = install(JOB, where)
    assert [Path(path).name for path in written] == ["failover-check-demo.service", "failover-check-demo.timer"]
    service = (programs / "units" / "failover-check-demo.service").read_text()
    assert 'ExecStart="/usr/bin/python3" "-m" "failover" "--fleet" "/a b/50%%.yaml" "check"' in service
    assert "SuccessExitStatus=1" in service
    assert "OnUnitActiveSec=300s" in (programs / "units" / "failover-check-demo.timer").read_text()
    assert (programs / "calls").read_text().splitlines()[-1] == "enable --now failover-check-demo.timer"
    assert len(listed(where)) == 1
    assert len(remove(JOB.name, where)) == 2
    assert list((programs / "units").iterdir()) == []
    assert remove(JOB.name, where) == ()


def test_a_users_timer_is_the_users(programs: Path) -> None:
    install(JOB, systemd(programs, user=True))
    assert all(line.startswith("--user ") for line in (programs / "calls").read_text().splitlines())


def test_a_systemd_that_refuses_is_told(programs: Path) -> None:
    (programs / "broken").touch()
    with pytest.raises(Unreachable, match="systemctl daemon-reload"):
        install(JOB, systemd(programs))


def test_where_there_is_neither() -> None:
    with pytest.raises(UsageError, match="neither systemd nor a crontab"):
        install(JOB, Places(units=None, user=False, crontab=""))
