"""The trap at a killed provider: listens where it used to answer, and counts whatever of ours still calls it.

Trapped are the doors that a rescue must not need: the agent's API, the record's client port and the DNS provider's
API. PostgreSQL's port is left dead, because the observers' one-byte probe waits there for the provider's return, and so
are the doors of its customers (edge, DNS): those who call there are users.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from pathlib import Path

from failover.model.fleet import Site
from failover.model.report import DeadSide
from failover.operations.drill_links import inside

_LOG_LIMIT = 50
_LET_GO_S = 5.0


def trapped_doors(site: Site) -> dict[str, int]:
    """Name and port of every trapped door."""
    doors = {"agent API": site.ports.agent}
    if site.voter:
        doors["record client"] = site.ports.etcd_client
    if site.dns:
        doors["DNS API"] = site.ports.dns_api
    return doors


class DeadSideTrap:
    """Listens from ``arm`` to ``close``. Also counts calls to the provider's own API, which its plug-in refuses and
    writes down in ``refusals`` while the account is suspended."""

    def __init__(self, site: Site, *, refusals: Path) -> None:
        self._site = site
        self._refusals = refusals
        self._selector = selectors.DefaultSelector()
        self._calls: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dead-side", daemon=True)

    def arm(self) -> None:
        """Bind every door. The site's own processes must be gone."""
        for name, port in trapped_doors(self._site).items():
            self._selector.register(self._listen(port), selectors.EVENT_READ, name)
        self._thread.start()

    def _listen(self, port: int) -> socket.socket:
        """A killed process with many threads looks gone a moment before its last thread has let go of its sockets."""
        until_s = time.clock_gettime(time.CLOCK_BOOTTIME) + _LET_GO_S
        while True:
            with inside(self._site):
                listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self._site.address, port))
            except OSError:
                listener.close()
                if time.clock_gettime(time.CLOCK_BOOTTIME) > until_s:
                    raise
                time.sleep(0.02)
                continue
            listener.listen(64)
            listener.setblocking(False)
            return listener

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                with contextlib.suppress(BlockingIOError):
                    caller, place = listener.accept()
                    at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                    self._calls.append(f"{at_s:.3f} {key.data} from {place[0]}:{place[1]} {_who(place[1])}")
                    caller.close()

    def close(self) -> DeadSide:
        """Take the trap away; what was caught."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            listener = key.fileobj
            assert isinstance(listener, socket.socket)
            listener.close()
        self._selector.close()
        refused = self._refusals.read_text().splitlines() if self._refusals.exists() else []
        calls = [*self._calls, *refused]
        return DeadSide(calls=len(calls), log=tuple(calls[:_LOG_LIMIT]))


def _who(port: int) -> str:
    """Which process called, as far as /proc can still tell: a figure nobody can act on is no use at 3 a.m."""
    wanted = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted):
            inode = f"socket:[{fields[9]}]"
            for pid in _likely_first():
                if _has_open(pid, inode):
                    with contextlib.suppress(OSError):
                        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                        return f"({command.decode(errors='replace').strip()[:90]})"
    return "(caller gone)"


def _has_open(pid: int, what: str) -> bool:
    """Files of a process come and go, and so do processes, while they are looked at."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path) == what:
                    return True
    return False


def _likely_first() -> list[int]:
    """This process, then the youngest: a caller hangs up after its 0.15 s, and /proc is long on a busy machine."""
    pids = sorted((int(one) for one in os.listdir("/proc") if one.isdigit()), reverse=True)
    return sorted(pids, key=lambda pid: pid != os.getpid())
