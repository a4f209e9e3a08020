"""A local site with a network of its own: a namespace and a wire to this machine, which routes between the sites.

For addresses in 198.18.0.0/15 (RFC 2544: never routed anywhere) only; a site on loopback shares this machine's network.
What leaves one site for another passes this machine as a packet that is forwarded, so a link between providers can be
cut or slowed here, in one direction too, and nothing at the sites knows. Needs root and ``ip``.
"""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

GATEWAY = "198.18.0.1"
_RANGE = ipaddress.ip_network("198.18.0.0/15")
_WITHIN_S = 10.0
NAMESPACE_FILE = "netns"


class NetworkProblem(Exception):
    """The namespace cannot be made; the text is for the operator."""


def isolated(address: str) -> bool:
    """True when a local site with this address gets a namespace of its own."""
    return ipaddress.ip_address(address) in _RANGE


def wire_name(address: str) -> str:
    """Of the namespace, and of this machine's end of the wire to it; within the kernel's 15 characters."""
    return f"fo{int(ipaddress.ip_address(address)):08x}"


def make(host_dir: Path, address: str) -> None:
    """Make what is missing and leave the namespace's name in the host's folder for its supervisor. Repeatable.

    Raises ``NetworkProblem`` without the rights."""
    if not isolated(address):
        return
    name = wire_name(address)
    if not Path("/run/netns", name).exists():
        _ip("netns", "add", name)
    if Path("/sys/class/net", name).exists() and not _has_wire(name):
        # Its other end is in a namespace of this name that was deleted: that lives on as long as a process in it does.
        _ip("link", "del", name)
    if not Path("/sys/class/net", name).exists():
        _ip("link", "add", name, "type", "veth", "peer", "name", "site0", "netns", name)
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "addr", "replace", f"{address}/32", "dev", "site0")
    _ip("-n", name, "link", "set", "site0", "up")
    _ip("addr", "replace", f"{GATEWAY}/32", "dev", name)
    _ip("link", "set", name, "up")
    _ip("route", "replace", f"{address}/32", "dev", name, "src", GATEWAY)
    _ip("-n", name, "route", "replace", f"{GATEWAY}/32", "dev", "site0", "scope", "link")
    _ip("-n", name, "route", "replace", "default", "via", GATEWAY, "src", address)
    # This machine forwards between its sites, and for nobody else.
    Path(f"/proc/sys/net/ipv4/conf/{name}/forwarding").write_text("1")
    (host_dir / NAMESPACE_FILE).write_text(name)


def remove(address: str) -> None:
    """Take it away; silent about what is gone already."""
    name = wire_name(address)
    if not isolated(address):
        return
    if Path("/sys/class/net", name).exists():
        _ip("link", "del", name)
    if Path("/run/netns", name).exists():
        _ip("netns", "del", name)


def _has_wire(name: str) -> bool:
    """Whether the namespace has its end of the wire."""
    return _run("-n", name, "link", "show", "site0").returncode == 0


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["ip", *words], capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    except FileNotFoundError:
        raise NetworkProblem("the program ip (Debian: iproute2) is missing") from None


def _ip(*words: str) -> None:
    done = _run(*words)
    if done.returncode != 0:
        raise NetworkProblem(f"ip {' '.join(words)}: {done.stderr.strip()} (a site of its own network needs root)")
