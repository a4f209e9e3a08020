"""``backup``: a full snapshot of 1.4 GB to two stores against the plain pipe to the same two in the same run, its
memory, an incremental after 2,000 transactions, and restore with verification against the same done by plain tools.

``--folder`` keeps the database from one call to the next: making it takes a minute. ``--only full``, ``incremental`` or
``restore`` runs one part.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from failover.adapters.programs import locate
from failover.adapters.store_s3_bucket import S3Bucket
from failover.model.stores import StorePlace
from failover.trust.age import AgeKey
from failover.trust.ca import write_private
from tests.bench.backup_base import Base, place_of, run_child
from tests.bench.lines import contender, say, verdict
from tests.contract.store.servers import KEY, running

_FULL, _INCREMENTAL_S, _RESTORE, _MEMORY = 0.85, 1.0, 1.3, 200 << 20
_TRANSACTIONS = 2000


def backup(runs: int, *, contest: bool, folder: Path | None = None, only: str = "") -> int:
    """Each part alternates ours and theirs ``runs`` times and compares medians."""
    with ExitStack() as held:
        where = folder or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="bench-backup-")))
        base = held.enter_context(Base(where).running())
        stores = [held.enter_context(_store(where, kind)) for kind in ("seaweedfs", "rclone")]
        bench = _Bench(base, stores, where)
        parts = {"full": bench.full, "incremental": bench.incremental, "restore": bench.restore}
        if only and only not in parts:
            raise SystemExit(f"--only {only}: not one of {', '.join(parts)}")
        statuses = [part(runs, contest=contest) for name, part in parts.items() if only in ("", name)]
    return max(statuses)


@contextmanager
def _store(folder: Path, kind: str) -> Iterator[StorePlace]:
    home = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=folder))
    try:
        with running(kind, home) as address:
            where = place_of(kind, address)
            bucket = S3Bucket(where, KEY, deadline_s=30)
            bucket.ensure()
            bucket.close()
            yield where
    finally:
        shutil.rmtree(home, ignore_errors=True)


class _Bench:
    def __init__(self, base: Base, stores: list[StorePlace], folder: Path) -> None:
        self._base = base
        self._stores = stores
        self._folder = folder
        self._keys = [folder / "verify.key", folder / "recovery.key"]
        self.recipients = []
        for path in self._keys:
            key = AgeKey.read(path.read_text()) if path.exists() else AgeKey.new()
            write_private(path, f"{key.secret.reveal()}\n")
            self.recipients.append(key.public)

    def full(self, runs: int, *, contest: bool) -> int:
        """Rate of the data read, in MB/s."""
        size = self._base.size_bytes()
        ours: list[float] = []
        theirs: list[float] = []
        memory = 0
        for number in range(runs):
            taken = self._child("take")
            ours.append(taken["seconds"])
            memory = max(memory, taken["peak_bytes"])
            if contest:
                theirs.append(self._pipe())
            beside = f", pipe {theirs[-1]:.1f} s" if contest else ""
            say(f"full {number + 1}/{runs}: {ours[-1]:.1f} s, {taken['peak_bytes'] >> 20} MB of memory{beside}")
        mine = size / statistics.median(ours) / 1e6
        pipe = size / statistics.median(theirs) / 1e6 if theirs else None
        contender("failover", mb_per_s=round(mine, 1), bytes=size, stored=taken["bytes"], memory_bytes=memory)
        if pipe is not None:
            contender("pg_basebackup | zstd -1 | age | tee, rclone rcat twice", mb_per_s=round(pipe, 1))
        ratio = mine / pipe if pipe is not None else None
        limit = f"rate >= {_FULL} of the pipe's to the same two stores, memory <= 200 MB"
        held = (ratio is None or ratio >= _FULL) and memory <= _MEMORY
        return verdict("backup full", ours=mine, theirs=pipe, limit=limit, held=held)

    def incremental(self, runs: int, *, contest: bool) -> int:
        """Seconds from the request to the manifest in both stores; bytes follow the change."""
        del contest
        parent = self._child("take")
        seconds, sizes, idle = [], [], []
        for number in range(runs):
            self._base.transactions(_TRANSACTIONS)
            taken = self._child("take", parent=parent["id"])
            nothing = self._child("take", parent=taken["id"])
            seconds.append(taken["seconds"])
            sizes.append(taken["bytes"])
            idle.append(nothing["bytes"])
            say(f"incremental {number + 1}/{runs}: {seconds[-1]:.2f} s, {sizes[-1] >> 10} kB, without a change "
                f"{nothing['seconds']:.2f} s, {idle[-1] >> 10} kB")  # fmt: skip
            parent = nothing
        median = statistics.median(seconds)
        contender("failover", seconds_s=round(median, 3), bytes=int(statistics.median(sizes)),
                  without_a_change_bytes=int(statistics.median(idle)))  # fmt: skip
        limit = f"after {_TRANSACTIONS} transactions <= {_INCREMENTAL_S:g} s, fewer bytes without a change"
        held = median <= _INCREMENTAL_S and statistics.median(idle) < statistics.median(sizes)
        return verdict("backup incremental", ours=median, theirs=None, limit=limit, held=held)

    def restore(self, runs: int, *, contest: bool) -> int:
        """From the second store alone, everything ``snapshot verify`` does."""
        taken = self._child("take")
        ours, theirs = [], []
        for number in range(runs):
            ours.append(self._child("verify", parent=taken["id"])["seconds"])
            if contest:
                theirs.append(self._pipe_back(taken["prefix"], taken["lsn"]))
            beside = f", by plain tools {theirs[-1]:.1f} s" if contest else ""
            say(f"restore and verify {number + 1}/{runs}: {ours[-1]:.1f} s{beside}")
        mine = statistics.median(ours)
        plain = statistics.median(theirs) if theirs else None
        contender("failover", seconds_s=round(mine, 2))
        if plain is not None:
            contender("rclone cat | age | zstd | tar, pg_verifybackup, replay, pg_amcheck, digests",
                      seconds_s=round(plain, 2))  # fmt: skip
        held = plain is None or mine <= _RESTORE * plain
        limit = f"<= {_RESTORE} x the same by plain tools; digests equal"
        return verdict("backup restore", ours=mine, theirs=plain, limit=limit, held=held)

    def _child(self, what: str, *, parent: str = "") -> dict:  # type: ignore[type-arg]
        """Ours in a process of its own, so that its memory is its own."""
        return run_child(
            what, folder=self._folder, stores=self._stores, recipients=self.recipients, keys=self._keys, parent=parent
        )

    def _pipe(self) -> float:
        """The same by plain programs: one stream, encrypted once, to both stores."""
        first, second = (_remote(place, f"plain/{time.monotonic_ns()}") for place in self._stores)
        to = " ".join(f"-r {recipient}" for recipient in self.recipients)
        line = (
            f"{self._base.program('pg_basebackup')} -D - -Ft -X fetch -c fast --no-password -d '{self._base.conninfo}' "
            f"| zstd -1 -T1 -q | age {to} | tee >({first}) | {second}; wait"
        )
        return _timed(line, more=_remotes(self._stores))

    def _pipe_back(self, prefix: str, lsn: str) -> float:
        place = self._stores[1]
        home = Path(tempfile.mkdtemp(prefix="plain-", dir=self._folder))
        key = self._keys[0]
        read = _remote(place, prefix, verb="cat")
        lines = [
            "mkdir data",
            f"{read}data.tar.zst.age | age -d -i {key} | zstd -dq | tar -x -C data",
            f"{read}wal.tar.zst.age | age -d -i {key} | zstd -dq | tar -x -C data",
            f"{self._base.program('pg_verifybackup')} -q data",
            *self._base.by_hand(home / "data", lsn),
        ]
        try:
            return _timed("\n".join(lines), more=_remotes(self._stores), cwd=home)
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _remote(place: StorePlace, key: str, *, verb: str = "rcat") -> str:
    """rclone's own S3 client for one object."""
    return f"{locate('rclone')[0]} --s3-chunk-size 16M --s3-no-check-bucket -q {verb} {place.name}:{place.bucket}/{key}"


def _remotes(stores: Sequence[StorePlace]) -> dict[str, str]:
    """Its settings: in the environment, as no file of the user's is read."""
    found = {"RCLONE_CONFIG": "/dev/null"}
    for place in stores:
        settings = {
            "type": "s3", "provider": "Other", "access_key_id": KEY.access_key, "endpoint": place.endpoint,
            "secret_access_key": KEY.secret.reveal(), "force_path_style": "true",
        }  # fmt: skip
        found |= {f"RCLONE_CONFIG_{place.name}_{name}".upper(): value for name, value in settings.items()}
    return found


def _timed(script: str, *, more: dict[str, str], cwd: Path | None = None) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=cwd, text=True, capture_output=True, timeout=900, check=False,
        env={**os.environ, **more, "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(f"the pipe ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - began

