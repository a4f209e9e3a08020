"""``check`` run again and again by the machine itself: a systemd timer, else one line of the crontab.

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

_SYSTEMD = Path("/run/systemd/system")
_CALL_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is run: ``command`` as a list of words, for the fleet called ``fleet``, each ``every``."""

    fleet: str
    command: tuple[str, ...]
    every: timedelta

    @property
    def name(self) -> str:
        """The unit's name, and the mark in a crontab."""
        return f"failover-check-{self.fleet}"


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
        return tuple(sorted(str(path) for path in where.units.glob("failover-check-*.timer")))
    return tuple(line for line in _crontab(where) if "# failover-check-" in line)


def _service(job: Job) -> str:
    # 1 is WARNING: a finding, not a failure of the unit.
    return f"""\
[Unit]
Description=failover check of {job.fleet}

[Service]
Type=oneshot
ExecStart={_systemd_words(job.command)}
SuccessExitStatus=1
TimeoutStartSec=60
"""


def _timer(job: Job) -> str:
    return f"""\
[Unit]
Description=failover check of {job.fleet}, again and again

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
    minutes, rest = divmod(int(job.every.total_seconds()), 60)
    if rest or not 1 <= minutes < 60:
        raise UsageError(f"cron cannot run it each {job.every}", hint="--every 1m to 59m")
    # A percent sign ends the command in a crontab.
    command = " ".join(shlex.quote(word) for word in job.command).replace("%", "\\%")
    return f"*/{minutes} * * * * {command} # {job.name}"


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
