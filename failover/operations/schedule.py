"""``check``, and for a fleet with snapshots ``snapshot create``, ``verify`` and ``prune``, run again and again by the
machine itself: systemd timers, else lines of the crontab.

Repeatable: installing twice leaves one. Entries that are not this fleet's are never touched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from failover.errors import Unreachable, UsageError
from failover.model.fleet import Fleet

_SYSTEMD = Path("/run/systemd/system")
_CALL_S = 15.0
_DAY = timedelta(days=1)
KINDS = ("check", "snapshot", "verify", "prune")
# So that cron does not begin them all at once; snapshots in the hour, the two that read or remove them by night.
_CRON_AT = {"check": (0, 0), "snapshot": (7, 2), "verify": (23, 4), "prune": (43, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is run: ``command`` as a list of words, for the fleet called ``fleet``, each ``every``. ``kind``: one of
    ``KINDS``."""

    fleet: str
    command: tuple[str, ...]
    every: timedelta
    kind: str = "check"

    @property
    def name(self) -> str:
        """The unit's name, and the mark in a crontab."""
        return job_name(self.kind, self.fleet)


def job_name(kind: str, fleet: str) -> str:
    """See ``Job.name``."""
    return f"failover-{kind}-{fleet}"


def jobs(fleet: Fleet, command: tuple[str, ...], *, every: timedelta) -> tuple[Job, ...]:
    """Everything this fleet wants done. ``command``: what runs ``failover`` for it; ``every``: how often it is checked.

    A snapshot is taken as often as the fleet file says; each day one is restored and proven, from another provider's
    store in turn, and what the rules do not keep is removed."""
    check = Job(fleet=fleet.name, command=(*command, "check"), every=every)
    if fleet.snapshots is None:
        return (check,)
    wanted = (
        ("snapshot", ("snapshot", "create", "--yes"), timedelta(seconds=fleet.snapshots.every_s)),
        ("verify", ("snapshot", "verify"), _DAY),
        ("prune", ("snapshot", "prune", "--yes"), _DAY),
    )
    more = (Job(fleet=fleet.name, command=(*command, *words), every=each, kind=kind) for kind, words, each in wanted)
    return (check, *more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where units lie and which programs answer. ``units`` ``None``: no systemd here. ``crontab`` "": none either."""

    units: Path | None
    user: bool
    crontab: str


def places() -> Places:
    """What this machine has."""
    root = os.geteuid() == 0
    folder = Path("/etc/systemd/system") if root else Path.home() / ".config" / "systemd" / "user"
    units = folder if _SYSTEMD.is_dir() and shutil.which("systemctl") else None
    return Places(units=units, user=not root, crontab=shutil.which("crontab") or "")


def texts(job: Job, where: Places) -> dict[str, str]:
    """What would be written: file (or "crontab") -> text. What ``--print`` shows."""
    if where.units is not None:
        return {
            str(where.units / f"{job.name}.service"): _service(job),
            str(where.units / f"{job.name}.timer"): _timer(job),
        }
    return {"crontab": _cron_line(job) + "\n"}


def install(job: Job, where: Places) -> tuple[str, ...]:
    """Write it and start it; returns what was written. Raises ``UsageError`` where there is nothing to write it to."""
    if where.units is not None:
        where.units.mkdir(parents=True, exist_ok=True)
        wanted = texts(job, where)
        for path, text in wanted.items():
            Path(path).write_text(text, encoding="utf-8")
        _systemctl(where, "daemon-reload")
        _systemctl(where, "enable", "--now", f"{job.name}.timer")
        return tuple(wanted)
    lines = [line for line in _crontab(where) if not _is_ours(line, job.name)]
    _write_crontab(where, [*lines, _cron_line(job)])
    return ("crontab",)


def remove(name: str, where: Places) -> tuple[str, ...]:
    """Take the fleet's entry away; returns what went. Silent when there is none."""
    if where.units is not None:
        files = [where.units / f"{name}.timer", where.units / f"{name}.service"]
        there = [path for path in files if path.exists()]
        if there:
            _systemctl(where, "disable", "--now", f"{name}.timer")
            for path in there:
                path.unlink()
            _systemctl(where, "daemon-reload")
        return tuple(str(path) for path in there)
    lines = _crontab(where)
    kept = [line for line in lines if not _is_ours(line, name)]
    if kept == lines:
        return ()
    _write_crontab(where, kept)
    return ("crontab",)


def listed(where: Places) -> tuple[str, ...]:
    """Every entry of ours, of any fleet."""
    if where.units is not None:
        return tuple(sorted(str(path) for kind in KINDS for path in where.units.glob(f"failover-{kind}-*.timer")))
    return tuple(line for line in _crontab(where) if any(f"# failover-{kind}-" in line for kind in KINDS))


def _service(job: Job) -> str:
    # 1 is WARNING: a finding, not a failure of the unit. Nobody knows how long a terabyte takes.
    limits = "SuccessExitStatus=1\nTimeoutStartSec=60" if job.kind == "check" else "TimeoutStartSec=infinity\nNice=10"
    return f"""\
[Unit]
Description=failover {job.kind} of {job.fleet}

[Service]
Type=oneshot
ExecStart={_systemd_words(job.command)}
{limits}
"""


def _timer(job: Job) -> str:
    return f"""\
[Unit]
Description=failover {job.kind} of {job.fleet}, again and again

[Timer]
OnBootSec=1min
OnUnitActiveSec={job.every.total_seconds():g}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def _systemd_words(words: tuple[str, ...]) -> str:
    """``%`` and ``$`` mean something to systemd; quotes keep words together."""
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") for word in words)
    return " ".join(f'"{word}"' for word in escaped)


def _cron_line(job: Job) -> str:
    # A percent sign ends the command in a crontab.
    command = " ".join(shlex.quote(word) for word in job.command).replace("%", "\\%")
    return f"{_cron_times(job)} {command} # {job.name}"


def _cron_times(job: Job) -> str:
    minutes, rest = divmod(int(job.every.total_seconds()), 60)
    minute, hour = _CRON_AT[job.kind]
    if not rest and 1 <= minutes < 60:
        return f"*/{minutes} * * * *"
    if not rest and minutes % 60 == 0 and 24 % (minutes // 60) == 0:
        return f"{minute} {hour if minutes == 24 * 60 else f'*/{minutes // 60}'} * * *"
    hint = "--every 1m to 59m, or 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d"
    raise UsageError(f"cron cannot run {job.kind} each {job.every}", hint=hint)


def _is_ours(line: str, name: str) -> bool:
    return line.rstrip().endswith(f"# {name}")


def _crontab(where: Places) -> list[str]:
    if not where.crontab:
        raise UsageError(
            "neither systemd nor a crontab runs here", hint="failover schedule install --print shows what to run"
        )
    done = subprocess.run([where.crontab, "-l"], capture_output=True, text=True, timeout=_CALL_S, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _write_crontab(where: Places, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        [where.crontab, "-"], input=text, capture_output=True, text=True, timeout=_CALL_S, check=False
    )
    if done.returncode != 0:
        raise Unreachable(f"the crontab was not taken: {done.stderr.strip()}", where=where.crontab)


def _systemctl(where: Places, *words: str) -> None:
    scope = ("--user",) if where.user else ()
    done = subprocess.run(
        ["systemctl", *scope, *words], capture_output=True, text=True, timeout=_CALL_S, check=False
    )
    if done.returncode != 0:
        raise Unreachable(f"systemctl {' '.join(words)}: {done.stderr.strip()}", where="systemd")
