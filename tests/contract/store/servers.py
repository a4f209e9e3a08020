"""Real object stores on loopback for the contract: SeaweedFS, ``rclone serve s3``, moto, each a process of its own.

SeaweedFS names its unix sockets by port alone and listens on 127.0.0.1 besides its own address (facts: storage 2.2):
two of them on one machine need different ports, so free ones are looked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from failover.adapters.programs import locate
from failover.model.secret import Secret
from failover.model.stores import StoreKey, StoreKind, StorePlace

KEY = StoreKey(access_key="contractaccesskey", secret=Secret("a secret of the contract"))
READY_S = 90.0


def free_ports(count: int) -> list[int]:
    """Ports that are free on every address, also 10,000 above (SeaweedFS's own protocol)."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            one = held.enter_context(socket.create_server(("0.0.0.0", 0)))
            port = one.getsockname()[1]
            if port > 55_000:
                continue
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("0.0.0.0", port + 10_000)))
                found.append(port)
    return found


def place(kind: StoreKind, address: str, bucket: str) -> StorePlace:
    return StorePlace(name=kind, provider=f"{kind} inc", kind=kind, endpoint=f"http://{address}", bucket=bucket)


def _weed(folder: Path) -> tuple[list[str], dict[str, str], str]:
    master, volume, filer, s3 = free_ports(4)
    keys = folder / "s3.json"
    keys.touch(mode=0o600)
    credentials = [{"accessKey": KEY.access_key, "secretKey": KEY.secret.reveal()}]
    keys.write_text(json.dumps({"identities": [{"name": "c", "credentials": credentials, "actions": ["Admin"]}]}))
    data = folder / "data"
    data.mkdir()
    # fmt: off
    command = [
        locate("weed")[0], "-logtostderr=true", "server", "-master.telemetry=false", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-dir={data}", "-filer", "-s3", f"-master.port={master}", f"-volume.port={volume}",
        f"-filer.port={filer}", f"-s3.port={s3}", f"-s3.config={keys}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=64", "-volume.max=1000", "-master.electionTimeout=1s",
    ]
    # fmt: on
    return command, {"GOMEMLIMIT": "350MiB"}, f"127.0.0.1:{s3}"


def _rclone(folder: Path) -> tuple[list[str], dict[str, str], str]:
    (port,) = free_ports(1)
    data = folder / "data"
    data.mkdir()
    # fmt: off
    command = [
        locate("rclone")[0], "serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--config", os.devnull,
        "--cache-dir", str(folder / "cache"),
    ]
    # fmt: on
    # A list in an environment variable is CSV, and the pair holds a comma.
    return command, {"RCLONE_AUTH_KEY": f'"{KEY.access_key},{KEY.secret.reveal()}"'}, f"127.0.0.1:{port}"


def _moto(_folder: Path) -> tuple[list[str], dict[str, str], str]:
    (port,) = free_ports(1)
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {}, f"127.0.0.1:{port}"


_MADE = {"seaweedfs": _weed, "rclone": _rclone, "moto": _moto}


@contextlib.contextmanager
def running(server: str, folder: Path) -> Iterator[str]:
    """The address of a ready server; it is gone afterwards."""
    command, extra, address = _MADE[server](folder)
    with started(command, extra, folder) as process:
        _wait(address, process, folder / "log")
        yield address


@contextlib.contextmanager
def started(command: Sequence[str], extra: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, which says what it says in ``folder/log``; gone with all it left afterwards."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **extra}, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        kill(process)
        remove_sockets(command)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to all of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def remove_sockets(command: Sequence[str]) -> None:
    """What a killed SeaweedFS leaves in the one folder where it has its sockets, named by the ports of ``command``."""
    ports = {int(number) for word in command for number in re.findall(r"port(?:\.grpc)?=(\d+)$", word)}
    for left in Path("/tmp").glob("seaweedfs-*.sock"):
        number = int(left.stem.rpartition("-")[2])
        if number in ports or number - 10_000 in ports:
            left.unlink(missing_ok=True)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a bucket can be made and written."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        region_name="us-east-1",
        aws_access_key_id=KEY.access_key,
        aws_secret_access_key=KEY.secret.reveal(),
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )
    until, said = time.monotonic() + READY_S, ""
    while time.monotonic() < until and process.poll() is None:
        try:
            client.create_bucket(Bucket="readiness")
            client.put_object(Bucket="readiness", Key="k", Body=b"x")
        except (BotoCoreError, ClientError) as error:
            said = repr(error)
            if "BucketAlready" in said:
                client.delete_bucket(Bucket="readiness")
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{address} does not serve: {said}\n{log.read_text(errors='replace')[-3000:]}")
