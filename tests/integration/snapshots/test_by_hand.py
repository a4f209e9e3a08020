"""docs/snapshots.md, "By hand": exactly the lines that stand there bring a database back from one store."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.adapters.programs import AS_NOBODY, locate
from failover.adapters.store_s3 import S3Store
from failover.adapters.store_s3_bucket import S3Bucket
from failover.trust.ca import write_private
from tests.contract.store.servers import KEY, place, running
from tests.integration.snapshots.conftest import FLEET, World

pytestmark = pytest.mark.long
DOCUMENT = Path(__file__).parents[3] / "docs" / "snapshots.md"
LOOK = 'psql -h "$DIR" -U keeper -d app -Atc "select count(*), sum(hash_record_extended(t.*, 0)) from posts t"\n'
STOP = "pg_ctl -D data -m immediate stop >&2\n"


def by_hand() -> tuple[str, str]:
    """The lines that fetch and unpack, and those that start what they made."""
    section = DOCUMENT.read_text(encoding="utf-8").split("\n## By hand\n", 1)[1]
    fetch, start, *_ = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    return fetch, start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[S3Store]:
    folder = tmp_path / "rclone"
    folder.mkdir()
    with running("rclone", folder) as address:
        where = place("rclone", address, "snapshots")
        bucket = S3Bucket(where, KEY, deadline_s=30)
        bucket.ensure()
        bucket.close()
        yield S3Store(where, KEY)


def run(script: str, store: S3Store, key: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """As a person without root would, who has put in the first lines what they hold."""
    programs = str(Path(locate("pg_basebackup")[0]).parent)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C", "KEY": str(key), "DIR": str(folder),
        "STORE": store._where.split(", ")[1], "FLEET": FLEET, "WHO": f"{KEY.access_key}:{KEY.secret.reveal()}",
    }  # fmt: skip
    as_person = AS_NOBODY if os.geteuid() == 0 else ()
    return subprocess.run(
        [*as_person, "bash", "-euo", "pipefail", "-c", script], env=environment, cwd=folder, text=True,
        capture_output=True, timeout=170, check=False,
    )  # fmt: skip


def test_the_lines_of_the_document(world: World, store: S3Store, tmp_path: Path) -> None:
    world.stores["s-beta"] = store  # type: ignore[assignment]
    first = world.take()
    with world.alpha.session() as session:
        session.execute("insert into posts select g, 'later' from generate_series(100000, 100499) g")
    second = world.take(first.manifest.id)
    assert second.manifest.digests  # or it would end where the backup is consistent
    wanted = next(one for one in second.manifest.digests[0].tables if one.table == "public.posts")
    key = tmp_path / "drawer.key"
    write_private(key, f"# public key: {world.keys[1].public}\n{world.keys[1].secret.reveal()}\n")
    fetch, start = by_hand()
    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="hand") as name:
        folder = Path(name)
        done = run(fetch + start + LOOK + STOP, store, key, folder)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert done.stdout.splitlines()[-1] == f"{wanted.rows}|{wanted.digest}"

    # The same lines notice what is wrong, before anything is started.
    damaged = next((tmp_path / "rclone" / "data").rglob(f"{second.manifest.id}/data.tar.zst.age"))
    body = bytearray(damaged.read_bytes())
    body[len(body) // 2] ^= 1
    damaged.write_bytes(body)
    with tempfile.TemporaryDirectory(prefix="hand") as name:
        done = run(fetch + start + LOOK + STOP, store, key, Path(name))
        assert done.returncode != 0 and "FAILED" in done.stdout
        assert not (Path(name) / "data").exists()
