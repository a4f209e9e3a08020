"""``media``: a pass over 20,000 objects that finds nothing to do, against ``rclone sync`` of the same two stores; and
pictures under load while their source is killed (``media_kill``).

Both contenders are whole commands, started anew each time, one after the other in turn, on two SeaweedFS. The memory of
ours is taken at a quarter of the objects too: what grows with them is not constant.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from failover.adapters.programs import locate
from failover.adapters.store_s3 import S3Store
from failover.adapters.store_s3_bucket import S3Bucket
from failover.model.stores import StorePlace
from tests.bench.lines import contender, say, spread, verdict
from tests.bench.media_kill import media_kill
from tests.contract.store.servers import KEY, running
from tests.e2e.harness import ROOT

OBJECTS = 20_000
LIMIT = 0.7
MEDIAN_BYTES, SIGMA = 4096, 0.8
# What may differ between two runs of one and the same program.
NOISE_BYTES = 6 << 20
BUCKETS = {"bench": OBJECTS, "quarter": OBJECTS // 4}
_AT_ONCE = 24


class Took:
    """One run of a command: wall, CPU and the most memory it had."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        began = time.monotonic()
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, env=dict(environment), cwd=ROOT, stdout=said, stderr=said)
            _, status, used = os.wait4(process.pid, 0)
            self.seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            self.out = said.read().decode(errors="replace")
        assert process.returncode == 0, f"{command[:4]}: {process.returncode}\n{self.out[-2000:]}"
        self.cpu_s, self.rss_bytes = used.ru_utime + used.ru_stime, used.ru_maxrss * _rss_unit()


def _rss_unit() -> int:
    return 1024 if sys.platform.startswith("linux") else resource.getpagesize()


def media(runs: int, *, contest: bool) -> int:
    """0 when both parts held."""
    return max(_no_change(runs, contest=contest), media_kill())


def _no_change(runs: int, *, contest: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="bench") as name, contextlib.ExitStack() as held:
        folder = Path(name)
        places = [
            StorePlace(name=store, provider=store, kind="seaweedfs", endpoint=endpoint, bucket="bench")
            for store in ("north", "south")
            for endpoint in [f"http://{held.enter_context(running('seaweedfs', _made(folder / store)))}"]
        ]
        for bucket, count in BUCKETS.items():
            _fill(places, bucket, count)
        files = {bucket: _fleet_file(folder / f"fleet-{bucket}", places, bucket) for bucket in BUCKETS}
        ours, theirs = [], []
        for number in range(runs):
            ours.append(_ours(files["bench"], OBJECTS))
            if contest:
                theirs.append(_theirs(places))
            say(f"media {number + 1}/{runs}: {ours[-1].seconds:.2f} s" + (
                f", rclone {theirs[-1].seconds:.2f} s" if contest else ""))  # fmt: skip
        quarter = [_ours(files["quarter"], BUCKETS["quarter"]) for _ in range(runs)]
    return _judge(ours, theirs, quarter)


def _judge(ours: list[Took], theirs: list[Took], quarter: list[Took]) -> int:
    grown = min(one.rss_bytes for one in ours) - min(one.rss_bytes for one in quarter)
    for name, took, objects in (
        ("failover media sync", ours, OBJECTS), ("rclone sync --checksum --fast-list", theirs, OBJECTS),
        ("failover media sync, a quarter", quarter, BUCKETS["quarter"]),
    ):  # fmt: skip
        if took:
            contender(
                name, objects=objects, seconds=spread([one.seconds for one in took]),
                cpu_s=spread([one.cpu_s for one in took]), rss_mb=spread([one.rss_bytes / 1e6 for one in took]),
            )  # fmt: skip
    mine = statistics.median(one.seconds for one in ours)
    other = statistics.median(one.seconds for one in theirs) if theirs else None
    held = grown <= NOISE_BYTES and (other is None or mine <= LIMIT * other)
    limit = f"<= {LIMIT} x wall of rclone; memory of {OBJECTS} objects as of a quarter (grew {grown / 1e6:.1f} MB)"
    return verdict("media", ours=mine, theirs=other, limit=limit, held=held)


def _ours(fleet_file: Path, objects: int) -> Took:
    """A sync that finds nothing to do, and says so."""
    took = Took(
        [sys.executable, "-m", "failover", "--fleet", str(fleet_file), "--json", "media", "sync"],
        {**os.environ, "PYTHONPATH": str(ROOT), **_keys()},
    )
    report = json.loads(took.out.splitlines()[0])
    assert report["in_step"] == objects, report
    assert [store["copied"] for store in report["stores"]] == [0, 0], report
    return took


def _theirs(places: Sequence[StorePlace]) -> Took:
    environment = dict(os.environ)
    for place in places:
        options = {
            "TYPE": "s3", "PROVIDER": "SeaweedFS", "ENDPOINT": place.endpoint, "REGION": "us-east-1",
            "ACCESS_KEY_ID": KEY.access_key, "SECRET_ACCESS_KEY": KEY.secret.reveal(), "NO_CHECK_BUCKET": "true",
        }  # fmt: skip
        environment |= {f"RCLONE_CONFIG_{place.name.upper()}_{name}": value for name, value in options.items()}
    command = [
        locate("rclone")[0], "sync", "north:bench", "south:bench", "--checksum", "--fast-list", "--checkers", "32",
        "--config", os.devnull,
    ]  # fmt: skip
    return Took(command, environment)


def _keys() -> dict[str, str]:
    names = ("NORTH", "SOUTH")
    return {f"FAILOVER_STORE_ACCESS_KEY_{name}": KEY.access_key for name in names} | {
        f"FAILOVER_STORE_SECRET_KEY_{name}": KEY.secret.reveal() for name in names
    }


def _fleet_file(folder: Path, places: Sequence[StorePlace], bucket: str) -> Path:
    """A fleet that is declared only: media need its stores and nothing else of it."""
    file = _made(folder) / "fleet.yaml"
    command = [sys.executable, "-m", "failover", "--fleet", str(file), "init", "--local"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    lines = [
        f"  - {{name: {place.name}, provider: {place.provider}, kind: s3, endpoint: '{place.endpoint}', "
        f"bucket: {bucket}}}\n"
        for place in places
    ]
    with file.open("a") as stream:
        stream.write("\nstores:\n" + "".join(lines))
    return file


def _fill(places: Sequence[StorePlace], bucket: str, count: int) -> None:
    say(f"media: {count} objects into two stores, bucket {bucket}")
    draw = random.Random(count)
    bodies = [draw.randbytes(max(1, int(draw.lognormvariate(0, SIGMA) * MEDIAN_BYTES))) for _ in range(count)]

    async def one(store: S3Store, queue: Iterator[bytes]) -> None:
        for body in queue:
            digest = hashlib.sha256(body).hexdigest()
            await store.put(f"demo/media/{digest[:2]}/{digest}", body, deadline_s=60)

    async def all_of(store: S3Store) -> None:
        queue = iter(bodies)
        await asyncio.gather(*(one(store, queue) for _ in range(_AT_ONCE)))

    async def both() -> None:
        for place in places:
            at = StorePlace(
                name=place.name, provider=place.provider, kind=place.kind, endpoint=place.endpoint, bucket=bucket
            )
            control = S3Bucket(at, KEY, deadline_s=30)
            control.ensure()
            control.close()
            await all_of(S3Store(at, KEY))

    asyncio.run(both())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
