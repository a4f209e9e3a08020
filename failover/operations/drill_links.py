"""The links between the sites of an isolated local fleet: cut, in one direction too, or led through a delay.

Each site is a network namespace whose packets to other sites this machine forwards (``infra/local/plugin/network``); a
routing rule for "came in on that site's wire, goes to this site" is a link in one direction. Operators and users sit on
this machine itself and reach every site all the while, as on the internet. Nothing at the sites is touched.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from failover.errors import Refused, Unreachable
from failover.model.fleet import ISOLATED, Fleet, Site

Link = tuple[str, str]
_PREFERENCE = 7700
# A rule takes milliseconds. A drill that gave up on one because its machine was starved left the links as they were.
_WITHIN_S = 120.0
_CLONE_NEWNET = 0x40000000


def require_links(fleet: Fleet) -> None:
    """Raises ``Refused`` where links cannot be cut: sites on loopback share one network."""
    outside = [site.name for site in fleet.sites if not isolated(site)]
    if outside:
        raise Refused(
            f"{', '.join(outside)} share this machine's network, so no link between sites can be cut or slowed",
            hint="as root, in another folder: failover init --local --isolated --block 30; failover deploy",
        )
    if os.geteuid() != 0:
        raise Refused("cutting links needs root", hint="sudo failover drill …")


def isolated(site: Site) -> bool:
    """The site has a network of its own."""
    return site.kind == "local" and ipaddress.ip_address(site.address) in ISOLATED


def wire_of(site: Site) -> str:
    """This machine's end of the wire to the site."""
    return f"fo{int(ipaddress.ip_address(site.address)):08x}"


@contextmanager
def inside(site: Site) -> Iterator[None]:
    """Sockets that this thread makes meanwhile belong to the site's own network, if it has one."""
    if not isolated(site):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{wire_of(site)}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"the network of {site.name} cannot be entered")
        try:
            yield
        finally:
            if libc.setns(here, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "this thread cannot go back to its own network")
    finally:
        os.close(here)
        os.close(there)


def links_of(fleet: Fleet, name: str, *, way: str = "both", to: str = "") -> list[Link]:
    """Links of one site with all others (or only ``to``). ``way``: "both", "out" (what it sends) or "in"."""
    others = [site.name for site in fleet.sites if site.name != name and to in ("", site.name)]
    out = [(name, other) for other in others]
    into = [(other, name) for other in others]
    return {"both": out + into, "out": out, "in": into}[way]


def all_links(fleet: Fleet) -> list[Link]:
    """Every link in every direction."""
    return [(one.name, other.name) for one in fleet.sites for other in fleet.sites if one.name != other.name]


class Links:
    """Rules in force while it is entered; leaving takes every one of them away, whatever happened. Rules that a killed
    drill left are taken away on entering."""

    def __init__(self, fleet: Fleet) -> None:
        require_links(fleet)
        self._fleet = fleet
        self._rules: list[list[str]] = []

    def cut(self, links: Iterable[Link]) -> None:
        """What goes that way vanishes without a word."""
        self._add(links, "blackhole")

    def lead(self, links: Iterable[Link], *, table: int) -> None:
        """What goes that way follows another routing table."""
        self._add(links, "lookup", str(table))

    def heal(self) -> None:
        """Every link is as it was."""
        left: list[Unreachable] = []
        while self._rules:
            try:
                ip("rule", "del", *self._rules.pop())
            except Unreachable as failure:
                left.append(failure)
        if left:
            raise left[0]

    def _add(self, links: Iterable[Link], *action: str) -> None:
        for source, target in links:
            one, other = self._fleet.site(source), self._fleet.site(target)
            if not Path("/sys/class/net", wire_of(one)).exists():
                raise Unreachable(f"the wire to {source} is not there", hint="failover deploy")
            rule = ["pref", str(_PREFERENCE), "iif", wire_of(one), "to", f"{other.address}/32", *action]
            ip("rule", "add", *rule)
            self._rules.append(rule)

    def __enter__(self) -> Links:
        wires = {wire_of(site) for site in self._fleet.sites}
        for line in ip("rule", "list", "pref", str(_PREFERENCE)).splitlines():
            words = line.replace("[detached]", "").split()
            if "iif" in words and words[words.index("iif") + 1] in wires:
                ip("rule", "del", "pref", str(_PREFERENCE), *words[words.index("iif") :], *_any_source(words))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()


def _any_source(words: list[str]) -> list[str]:
    """``ip rule list`` shows the target before the wire; ``ip rule del`` wants all of it."""
    return ["to", words[words.index("to") + 1]] if "to" in words else []


def ip(*words: str) -> str:
    """Run ``ip``; its output. Raises ``Unreachable`` with what it said."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    except FileNotFoundError as error:
        raise Unreachable("the program ip is missing", hint="apt-get install iproute2") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"ip {' '.join(words)}: did not end within {_WITHIN_S:.0f} s") from error
    if done.returncode != 0:
        raise Unreachable(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
