"""One local fleet of its own for a test or a benchmark: its commands, its state, its end. By the real CLI."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from failover.agent.supervise import host_processes, stop_host

ROOT = Path(__file__).parents[2]
SITES = ("alpha", "beta", "gamma")


class Ran:
    """What a command did. ``json`` is its one object on stdout."""

    def __init__(self, status: int, out: str, err: str, seconds: float) -> None:
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class LocalFleet:
    """``folder`` holds fleet.yaml and ``.failover``. ``block`` keeps fleets of one machine apart."""

    def __init__(self, folder: Path, *, block: int) -> None:
        self.folder = folder
        self.block = block
        self.file = folder / "fleet.yaml"
        self.state = folder / ".failover"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "failover", "--fleet", str(self.file), *words]

    def environment(self) -> dict[str, str]:
        users = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**users, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """In a session of its own, so that a test can kill exactly it."""
        return subprocess.Popen(
            self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self.environment(), cwd=ROOT, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, status: int | None = 0, timeout_s: float = 240.0) -> Ran:
        """Run to its end; another exit status than ``status`` fails with everything it said."""
        began = time.monotonic()
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        ran = Ran(process.returncode, out, err, time.monotonic() - began)
        if status is not None and ran.status != status:
            raise AssertionError(
                f"failover {' '.join(words)}: exit {ran.status}, wanted {status}\n"
                f"--- stdout\n{out}\n--- stderr\n{err}\n{self.last_words()}"
            )
        return ran

    def init(self, *words: str) -> None:
        self.run("init", "--local", "--block", str(self.block), *words)

    def deploy(self) -> Ran:
        return self.run("deploy", "--yes")

    def drill(
        self,
        kind: str,
        site: str,
        *,
        rate: int = 120,
        seconds: float = 8.0,
        seed: int = 1,
        more: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The report. A missed objective (exit 4) is the caller's to judge."""
        words = ("--json", "drill", kind, site, "--rate", str(rate), "--for", f"{seconds}s", "--seed", str(seed), *more)
        ran = self.run(*words, status=None, timeout_s=seconds + 150)
        assert ran.status in (0, 4), f"drill {kind} {site}: exit {ran.status}\n{ran.out}\n{ran.err}"
        return ran.json

    def status(self) -> dict[str, Any]:
        return self.run("--json", "status", status=None).json

    def host_dir(self, site: str) -> Path:
        return self.state / "sites" / site

    def processes(self) -> dict[str, set[int]]:
        return {site: host_processes(self.host_dir(site)) for site in SITES if self.host_dir(site).exists()}

    def wait_protected(self, *, deadline_s: float = 120.0) -> dict[str, Any]:
        """Until every agent answers, the record's primary serves, and a sync member streams: the record lists one from
        the instant of a move on, and a former primary needs a while to come back as it."""
        end = time.monotonic() + deadline_s
        while True:
            seen = self.status()
            state = {site["name"]: site["state"] for site in seen["sites"]}
            record = seen["record"]
            if (
                record and record["sync"] and "unknown" not in state.values()
                and state[record["primary"].split("_")[0]] == "primary"
                and all(state[member.split("_")[0]] == "streaming" for member in record["sync"])
            ):  # fmt: skip
                return seen
            assert time.monotonic() < end, f"not protected: {json.dumps(seen, indent=1)}\n{self.last_words()}"
            time.sleep(0.2)

    def last_words(self) -> str:
        """The end of each site's logs, for a failure that nobody can look at any more."""
        logs = [
            log
            for name in ("supervise", "agent", "postgres")
            for log in sorted(self.state.glob(f"s*/*/log/{name}.log"))
        ]
        ends = ((log, log.read_text(errors="replace").splitlines()[-15:]) for log in logs if log.is_file())
        return "\n".join(f"--- {log.relative_to(self.state)}\n" + "\n".join(lines) for log, lines in ends)

    @contextlib.contextmanager
    def standing(self) -> Iterator[LocalFleet]:
        """Deployed and protected; destroyed and gone afterwards, whatever happened."""
        try:
            self.deploy()
            self.wait_protected()
            yield self
        finally:
            self.run("destroy", "--yes", status=None)
            self.end()

    def end(self) -> None:
        """Whatever happened: nothing of this fleet runs afterwards."""
        for parent in (self.state / "sites", self.state / "suspended"):
            for site in SITES:
                if parent.exists():
                    stop_host(parent / site)
                    namespace = parent / site / "netns"
                    if namespace.exists():
                        subprocess.run(["ip", "netns", "del", namespace.read_text()], check=False, timeout=10)


def keep_logs(fleet: LocalFleet, folder: Path) -> Path:
    """Copy what the fleet's processes said, wherever its sites are now; returns where to."""
    kept = folder / "logs" / time.strftime("%Y%m%dT%H%M%S")
    for log in [*fleet.state.glob("sites/*/log/*.log"), *fleet.state.glob("suspended/*/log/*.log")]:
        (kept / log.parts[-3]).mkdir(parents=True, exist_ok=True)
        shutil.copy(log, kept / log.parts[-3] / log.name)
    return kept
