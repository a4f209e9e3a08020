"""The day `failover` itself is broken: plain `pulumi` in the checkout, on the state that `failover` left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.adapters.pulumi_program import locate_pulumi
from tests.infra.pulumi.fleets import ROOT, SECRETS, SUPERVISE, StackFleet

pytestmark = pytest.mark.timeout(300)  # a dozen runs of the engine, on a machine that may be busy

# What the official command line brings along and a build from Go modules does not.
LANGUAGE_HOST = """#!{python}
import os, runpy, signal, sys
from concurrent import futures
import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc
server = grpc.server(futures.ThreadPoolExecutor(4))
language_pb2_grpc.add_LanguageRuntimeServicer_to_server(
    LanguageServer(lambda: runpy.run_path(".", run_name="__main__")), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
signal.signal(signal.SIGINT, lambda *_: os._exit(0))
server.wait_for_termination()
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a state folder of its own: the files are the real ones."""
    place = tmp_path / "checkout"
    (place / "stacks").mkdir(parents=True)
    for path in (ROOT / "stacks").glob("*.py"):
        (place / "stacks" / path.name).symlink_to(path)
    for name in ("infra", "failover", "Pulumi.yaml"):
        (place / name).symlink_to(ROOT / name)
    return place


@pytest.fixture
def fleet(checkout: Path, block: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackFleet]:
    monkeypatch.setenv("FAILOVER_SUPERVISE", SUPERVISE)
    made = StackFleet(checkout, block, state=checkout / "stacks" / ".failover")
    try:
        yield made
    finally:
        made.clean()


def pulumi(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a person types it, with the passphrase's file named as the head of Pulumi.yaml says."""
    bin_folder = checkout.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    host = bin_folder / "pulumi-language-python"
    host.write_text(LANGUAGE_HOST.format(python=sys.executable))
    host.chmod(0o755)
    passphrase = "stacks/.failover/trust/pulumi_passphrase"
    (checkout / passphrase).parent.mkdir(exist_ok=True)
    (checkout / passphrase).write_text(SECRETS[0] + "\n")
    environment = {
        "HOME": str(checkout.parent),
        "PATH": os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PULUMI_CONFIG_PASSPHRASE_FILE": passphrase,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "FAILOVER_SUPERVISE": SUPERVISE,
    }
    return subprocess.run(
        [str(locate_pulumi(ROOT)), *arguments],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_plain_pulumi_goes_on_where_failover_stopped(fleet: StackFleet, checkout: Path) -> None:
    assert fleet.up("alpha").changed == 2

    same = pulumi(checkout, "preview", "--stack", "alpha", "--expect-no-changes")
    assert same.returncode == 0, same.stdout + same.stderr

    fleet.kill_host("alpha")
    repaired = pulumi(checkout, "up", "--stack", "alpha", "--refresh", "--yes", "--skip-preview")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert [len(pids) for pids in fleet.of_host("alpha").values()] == [1, 1]

    assert fleet.up("alpha").changed == 0
    gone = pulumi(checkout, "destroy", "--stack", "alpha", "--yes", "--skip-preview")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert not list((fleet.state / "sites").iterdir())
    assert fleet.destroy("alpha") == 0
