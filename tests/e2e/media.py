"""Pictures under load while the site that takes them, store and all, is killed: what is served afterwards, and whether
the signed list of the rest is exact. The judge reads the surviving store's disk and database past failover."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import psycopg

from failover.agent.supervise import host_processes, stop_host
from failover.config.fleet import load_fleet
from failover.model.fleet import Fleet, Site
from failover.operations.media_missing import read_missing
from failover.trust.seal import SealKey
from tests.e2e.harness import LocalFleet

UPLOADERS = 4
PER_SECOND = 24
SIZE_BYTES = 20_000
LOAD_S = 8.0
# The promise is for what was acknowledged longer ago than this when the source died.
COPIED_S = 2.0
# Copying is stopped this long before the kill, so that there is a rest to be listed.
HELD_UP_S = 1.0
WAIT_S = 120.0


class Told(msgspec.Struct, frozen=True):
    """An acknowledged upload: its name, and when the answer was here."""

    id: str
    at: float


@dataclass
class Outcome:
    """``late``: acknowledged less than ``COPIED_S`` before the kill. ``unserved``: of all acknowledged, what the other
    side did not give with the right bytes. ``listed`` / ``truth``: what the signed list names; what the surviving
    database refers to and the surviving store's disk does not have."""

    acknowledged: int = 0
    late: set[str] = field(default_factory=set)
    unserved: set[str] = field(default_factory=set)
    unserved_old: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    truth: set[str] = field(default_factory=set)
    not_in_database: set[str] = field(default_factory=set)
    took_over_s: float = 0.0

    @property
    def held(self) -> bool:
        """Everything old is served, the list is exact, and there was something to list."""
        return not self.unserved_old and not self.not_in_database and self.listed == self.truth and bool(self.truth)


class Uploads:
    """People who send a new picture each, at a steady rate, until told to stop."""

    def __init__(self, site: Site) -> None:
        self._url = f"http://{site.address}:{site.ports.edge}"
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.told: list[Told] = []
        self.failed = 0
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(UPLOADERS)]

    def __enter__(self) -> Uploads:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        draw = random.Random(number)
        with httpx.Client(base_url=self._url, timeout=20, trust_env=False) as client:
            words = {"name": f"photographer_{number}", "password": "correct horse"}
            client.post("/api/accounts", json=words).raise_for_status()
            token = client.post("/api/sessions", json=words).raise_for_status().json()["token"]
            headers = {"authorization": f"Bearer {token}", "content-type": "image/gif"}
            due = time.monotonic()
            while not self._stopping.is_set():
                due += UPLOADERS / PER_SECOND
                body = b"GIF89a" + draw.randbytes(SIZE_BYTES)
                try:
                    answer = client.post("/api/media", content=body, headers=headers)
                except httpx.TransportError:
                    self.failed += 1
                    return  # the site is gone, and this person with it
                with self._lock:
                    if answer.status_code == 201:
                        self.told.append(Told(answer.json()["id"], time.monotonic()))
                    else:
                        self.failed += 1
                self._stopping.wait(max(0.0, due - time.monotonic()))


def kill_the_source(fleet: LocalFleet) -> Outcome:
    """The story, on a fleet that stands and is protected, with its primary at alpha."""
    declared = load_fleet(fleet.file)
    alpha, beta = declared.site("alpha"), declared.site("beta")
    with Uploads(alpha) as uploads:
        time.sleep(LOAD_S)
        held_up = _pause_workers(fleet)
        try:
            time.sleep(HELD_UP_S)
            killed_at = time.monotonic()
            stop_host(fleet.host_dir("alpha"))
        finally:
            _go_on(held_up)
    outcome = Outcome(acknowledged=len(uploads.told))
    outcome.late = {one.id for one in uploads.told if one.at > killed_at - COPIED_S}
    _wait_until_writable(beta)
    outcome.took_over_s = time.monotonic() - killed_at
    ids = [one.id for one in uploads.told]
    outcome.unserved = _unserved(beta, ids)
    outcome.unserved_old = outcome.unserved - outcome.late
    in_database = _database(declared, beta, fleet)
    outcome.not_in_database = set(ids) - in_database
    disk = fleet.host_dir("beta") / "store" / "rclone"
    on_disk = {path.name for path in disk.rglob("*") if path.is_file()}
    assert on_disk & in_database, "the judge looks at another folder than the store"
    outcome.truth = in_database - on_disk
    outcome.listed = _listed(fleet)
    return outcome


def _pause_workers(fleet: LocalFleet) -> list[int]:
    paused = []
    for site in ("alpha", "beta"):
        for pid in host_processes(fleet.host_dir(site)):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"infra.app.worker" in words:
                os.kill(pid, signal.SIGSTOP)
                paused.append(pid)
    assert len(paused) >= 2, "a worker at each data site"
    return paused


def _go_on(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def _wait_until_writable(site: Site) -> None:
    words = {"name": f"visitor_{os.getpid()}", "password": "correct horse"}
    with httpx.Client(base_url=f"http://{site.address}:{site.ports.edge}", timeout=5, trust_env=False) as client:
        until = time.monotonic() + WAIT_S
        while True:
            try:
                if client.post("/api/accounts", json=words).status_code in (201, 409):
                    return
            except httpx.TransportError:
                time.sleep(0.05)
            assert time.monotonic() < until, "the other side does not take over"
            time.sleep(0.05)


def _unserved(site: Site, ids: list[str]) -> set[str]:
    missed = set()
    with httpx.Client(base_url=f"http://{site.address}:{site.ports.edge}", timeout=30, trust_env=False) as client:
        for media in ids:
            answer = client.get(f"/api/media/{media}")
            if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != media:
                missed.add(media)
    return missed


def _database(declared: Fleet, site: Site, fleet: LocalFleet) -> set[str]:
    password = (fleet.state / "trust" / "app_password").read_text().strip()
    with psycopg.connect(
        host=site.address, port=site.ports.postgres, user="app", password=password, dbname=declared.app.database
    ) as connection:
        return {str(row[0]) for row in connection.execute("SELECT id FROM media")}


def _listed(fleet: LocalFleet) -> set[str]:
    report = fleet.run("--json", "media", "status", status=None).json
    key = SealKey.at(fleet.state / "trust" / "seal.key")
    summary, lines = read_missing(Path(report["missing_list"]), trusted=(key.public,))
    assert summary.silent == ("north",)
    assert summary.objects == len(lines)
    return {line.split(" ")[0] for line in lines}
