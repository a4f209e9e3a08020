"""A fleet of stacks on the real engine: real plug-in, real supervisor, a listener in the agent's place."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from failover.adapters.pulumi import PulumiProvisioner
from failover.adapters.pulumi_program import locate_pulumi
from failover.agent import supervise
from failover.model.bootstrap import Bootstrap
from failover.model.fleet import Ports, Role, Site
from failover.model.secret import Secret
from failover.ports.provisioner import SiteRequest, StackProgress, StackResult

ROOT = Path(__file__).resolve().parents[3]
SUPERVISE = shlex.join([sys.executable, str(Path(__file__).with_name("standin_supervise.py"))])
DEADLINE_S = 120.0
SECRETS = ("pass-w0rd-of-the-stacks", "t0ken-of-", "dns-k3y-of-")
T = TypeVar("T")


def read_proc(pid: int, name: str) -> bytes:
    """A file of a process, empty when the process is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def processes() -> list[int]:
    """Every live process but ours."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    return [pid for pid in pids if supervise._start_ticks(pid) is not None]


class StackFleet:
    """Sites alpha, beta (with DNS) and gamma below one folder, on one block of loopback addresses."""

    def __init__(self, folder: Path, block: str, *, root: Path = ROOT, state: Path | None = None) -> None:
        self.state = state or folder / ".failover"
        self.block = block
        self.root = root
        self.provisioner = self.with_passphrase(SECRETS[0])

    def with_passphrase(self, passphrase: str) -> PulumiProvisioner:
        """A provisioner on the same state."""
        return PulumiProvisioner(
            root=self.root,
            state_dir=self.state / "pulumi",
            program=locate_pulumi(ROOT),
            passphrase=Secret(passphrase),
        )

    def request(self, name: str, *, port: int = 7443, agent_version: str = "1") -> SiteRequest:
        """The site's request; the same arguments give the same request."""
        address = f"{self.block}.{('alpha', 'beta', 'gamma').index(name) + 1}"
        dns = name != "gamma"
        site = Site(name=name, provider=f"p-{name}", role=Role.DATA, address=address, ports=Ports(agent=port), dns=dns)
        bootstrap = Bootstrap(
            fleet="stacks",
            site=name,
            provider=site.provider,
            address=address,
            agent_port=port,
            host_dir=str(self.host_dir(name)),
            agent_version=agent_version,
            agent_digest=f"sha256:{agent_version}",
            fleet_ca_pem="-----BEGIN CERTIFICATE-----\nnot looked at here\n-----END CERTIFICATE-----\n",
            token=f"{SECRETS[1]}{name}",
        )
        key = Secret(f"{SECRETS[2]}{name}") if dns else None
        return SiteRequest(site=site, bootstrap=bootstrap, zone="shop.test", dns_api_key=key)

    def host_dir(self, name: str) -> Path:
        return self.state / "sites" / name

    def up(self, name: str, **more: object) -> StackResult:
        """``up`` of one site, its progress thrown away."""
        return self.provisioner.up(self.request(name, **more), progress=ignore, deadline_s=DEADLINE_S)  # type: ignore[arg-type]

    def destroy(self, name: str) -> int:
        return self.provisioner.destroy(self.request(name), progress=ignore, deadline_s=DEADLINE_S)

    def in_parallel(self, act: Callable[[str], T], names: Iterable[str] = ("alpha", "beta", "gamma")) -> list[T]:
        """The same for several sites at once, as ``deploy`` does it."""
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(act, names))

    def of_host(self, name: str) -> dict[str, list[int]]:
        """The host's processes by what they are."""
        mark = f"FAILOVER_HOST_DIR={self.host_dir(name)}".encode()
        found: dict[str, list[int]] = {"supervisor": [], "agent": []}
        for pid in processes():
            if mark in read_proc(pid, "environ").split(b"\0"):
                found["supervisor" if b"standin_supervise" in read_proc(pid, "cmdline") else "agent"].append(pid)
            elif f"standin_supervise.py\0--host-dir\0{self.host_dir(name)}".encode() in read_proc(pid, "cmdline"):
                found["supervisor"].append(pid)
        return found

    def of_engine(self) -> dict[str, list[int]]:
        """Drivers, command lines and plug-ins at work on this fleet."""
        mark = f"FAILOVER_STACK={self.state / 'pulumi'}:".encode()
        found: dict[str, list[int]] = {"driver": [], "engine": [], "plugin": [], "asker": []}
        for pid in processes():
            arguments = read_proc(pid, "cmdline")
            if any(entry.startswith(mark) for entry in read_proc(pid, "environ").split(b"\0")):
                found["plugin" if b"infra.local.plugin" in arguments else "engine"].append(pid)
            elif b"stacks.run" in arguments and self._writes_here(pid):
                found["driver"].append(pid)
            elif b"tests.infra.pulumi.asker" in arguments and str(self.state).encode() in arguments:
                found["asker"].append(pid)
        return found

    def _writes_here(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/fd/1").startswith(str(self.state))
        return False

    def kill_host(self, name: str) -> None:
        """Everything of the host at once, as when a machine dies; its disk stays."""
        supervise.stop_host(self.host_dir(name))

    def clean(self) -> None:
        """End every process of this fleet."""
        for pids in self.of_engine().values():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for name in ("alpha", "beta", "gamma"):
            supervise.stop_host(self.host_dir(name))


def ignore(_progress: StackProgress) -> None:
    """Nobody looks."""


def wait_until(true: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
