"""A real object store for the app's tests, at an address of its own: killed, started again, looked into."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from failover.adapters.programs import locate
from tests.contract.store.servers import free_ports, kill, started

ACCESS, SECRET, BUCKET = "appaccesskey", "a secret of the app's tests", "pictures"
READY_S = 60.0


class StoreServer:
    """``rclone serve s3`` over a folder, which outlives it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
        (self._port,) = free_ports(1)
        (folder / "data" / BUCKET).mkdir(parents=True)
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._held = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            locate("rclone")[0], "serve", "s3", str(self._folder / "data"), "--addr", f"127.0.0.1:{self._port}",
            "--config", os.devnull, "--cache-dir", str(self._folder / "cache"),
        ]  # fmt: skip
        extra = {"RCLONE_AUTH_KEY": f'"{ACCESS},{SECRET}"'}
        self.process = self._held.enter_context(started(command, extra, self._folder))
        until = time.monotonic() + READY_S
        while not self._answers():
            assert time.monotonic() < until, (self._folder / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        assert self.process is not None
        kill(self.process)

    def stop(self) -> None:
        self._held.close()

    def place(self) -> dict[str, str]:
        """As the app's settings name it."""
        return {
            "name": self.name, "endpoint": self.endpoint, "bucket": BUCKET, "access_key": ACCESS, "secret": SECRET,
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        """What lies on its disk: the object's name without folders -> its bytes."""
        found = (self._folder / "data" / BUCKET).rglob("*")
        return {path.name: path.read_bytes() for path in found if path.is_file()}

    def put_on_disk(self, key: str, body: bytes) -> None:
        path = self._folder / "data" / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def _answers(self) -> bool:
        client = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
        )  # fmt: skip
        try:
            client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)
        except (BotoCoreError, ClientError):
            return False
        return True


@contextlib.contextmanager
def two_stores(folder: Path) -> Iterator[tuple[StoreServer, StoreServer]]:
    servers = (StoreServer("north", folder / "north"), StoreServer("south", folder / "south"))
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def settings_file(folder: Path, servers: Sequence[StoreServer]) -> str:
    """Path of ``APP_MEDIA_STORES_FILE`` for these, nearest first."""
    path = folder / f"stores-{'-'.join(server.name for server in servers)}.json"
    path.write_text(json.dumps([server.place() for server in servers]))
    return str(path)
