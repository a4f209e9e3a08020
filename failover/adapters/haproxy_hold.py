"""The edge as the gate of an app that has none: holds requests in front of it and leads them to the primary.

Knows the names in the configuration that ``planner/hostspec_hold`` writes. What must never be here: when to hold, or a
version of HAProxy that aborts when a held listener opens again (2.6 as Debian 12 ships it: facts, traffic 2.3).

Every call looks first, changes what differs, and answers with what it then sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from failover.adapters.haproxy_socket import StatsSocket, Talk, server_states, stat_rows
from failover.errors import Refused, Unreachable
from failover.ports.probe import GateAnswer

OLDEST = (2, 8)
_LISTENERS = ("inner", "inner-slow", "inner-stream")
_FLAG, _PEER, _HERE = ("elsewhere", "primary"), ("peer", "primary"), ("peer", "here")
_OPEN_MAXCONN = 4000
_OFF_BITS = 0x01 | 0x02 | 0x20 | 0x08 | 0x10
_POLL_S, _SOON_S, _LATER_POLL_S = 0.01, 0.2, 0.05
# Longer than the agent lets pass between two tellings.
_MARGIN_S = 0.6


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge shows: limits of the inner listeners, where the others' primary is, who can serve."""

    limits: dict[str, int]
    elsewhere: bool
    peer: str
    peer_on: bool
    here_on: bool | None  # None: a configuration from before there was one
    app_up: bool
    in_flight: int
    slow: int
    waiting: int
    streams: dict[str, int]


class HttpHold:
    """Implements ``ports.probe.AppGate`` by the stats socket. ``peers``: site -> where its ``forward`` listens."""

    def __init__(
        self, socket_path: Path | str, *, site: str, peers: Mapping[str, tuple[str, int]], deadline_s: float = 1.0
    ) -> None:
        self._socket = StatsSocket(socket_path, deadline_s=deadline_s)
        self._site = site
        self._peers = dict(peers)
        self._trusted = False
        self._turn = asyncio.Lock()

    async def tell(
        self, *, state: str, primary: str, epoch: int, fresh_until_s: float, wait_s: float = 0.0
    ) -> GateAnswer:
        """See the port. Opening while no process of the app is up here is answered by "hold". State "quiesce": open,
        but no slow request passes, and those on their way are waited for; ``in_flight`` then counts these alone."""
        if state != "hold" and fresh_until_s - _boottime_s() < _MARGIN_S:
            # Evidence that is nearly too old: who waits is served later, who is past it would be refused.
            state = "hold"
        slow = state == "quiesce"
        async with self._turn:
            change = self._hold if state == "hold" else partial(self._open, primary, fresh_until_s, slow=not slow)
            seen = await asyncio.to_thread(change)
        soon_s, until_s = _boottime_s() + _SOON_S, _boottime_s() + wait_s
        # Slow ones that are left at the hold have had their time in the quiesce: nobody waits for them any more.
        while (seen.slow if slow else seen.in_flight > seen.slow) and _boottime_s() < until_s:
            # Outside the turn: a hold must not wait for somebody's upload. The agent runs before everybody else: asked
            # too often, the edge and the app would have no time for what is waited for.
            await asyncio.sleep(_POLL_S if _boottime_s() < soon_s else _LATER_POLL_S)
            # It is told already; an edge too busy to answer a look does not undo that.
            with contextlib.suppress(Unreachable):
                seen = await asyncio.to_thread(self._look)
        return GateAnswer(
            state="open" if seen.limits["inner"] and seen.limits["inner-stream"] else "hold",
            primary=primary,
            epoch=epoch,
            in_flight=seen.slow if slow else seen.in_flight,
            waiting=seen.waiting,
            streams=sum(seen.streams.values()),
        )

    def _look(self) -> _Seen:
        with self._socket.conversation() as talk:
            return _seen(talk)

    def _hold(self) -> _Seen:
        with self._socket.conversation() as talk:
            self._check_version(talk)
            return _limit(talk, _seen(talk), dict.fromkeys(_LISTENERS, 0))

    def _open(self, primary: str, fresh_until_s: float, *, slow: bool) -> _Seen:
        """Turn to the primary first, so that nobody who was held goes the old way."""
        with self._socket.conversation() as talk:
            self._check_version(talk)
            seen = _seen(talk)
            here = primary == self._site
            self._turn_to(talk, seen, primary)
            # HAProxy compares with its wall clock; a step of that clock is outlived by the next renewal.
            fresh_ms = int((time.time() + fresh_until_s - _boottime_s()) * 1000)
            _told(talk, "experimental-mode on")
            _told(talk, f"set var proc.fresh int({fresh_ms})")
            wanted = 0 if here and not seen.app_up else _OPEN_MAXCONN
            limits = dict.fromkeys(_LISTENERS, wanted)
            limits["inner-slow"] = wanted if slow else 0
            return _limit(talk, _seen(talk), limits)

    def _turn_to(self, talk: Talk, seen: _Seen, primary: str) -> None:
        if primary == self._site:
            if seen.elsewhere:
                _told(talk, "set server elsewhere/primary state maint")
            if seen.here_on is False:
                # Who came before this side was known to be the primary still tries the old one; the next try is here.
                _told(talk, "set server peer/here state ready")
            if seen.peer_on and seen.here_on is not None:
                _told(talk, "set server peer/primary state maint")
            return
        place = self._peers.get(primary)
        if place is None:
            raise Refused(f"no edge of {primary} is known here", hint="failover deploy")
        target = f"{ipaddress.ip_address(place[0])}:{int(place[1])}"
        if seen.peer != target:
            _told(talk, f"set server peer/primary addr {ipaddress.ip_address(place[0])} port {int(place[1])}")
        if not seen.peer_on:
            _told(talk, "set server peer/primary state ready")
        if seen.here_on:
            _told(talk, "set server peer/here state maint")
        if not seen.elsewhere:
            _told(talk, "set server elsewhere/primary state ready")
        for server, sessions in seen.streams.items():
            if sessions:
                # They talk to an app whose primary has left; their clients open them again, and arrive there.
                _told(talk, f"shutdown sessions server streams/{server}")

    def _check_version(self, talk: Talk) -> None:
        if self._trusted:
            return
        found = re.search(r"^Version: (\d+)\.(\d+)", talk.ask("show info"), re.MULTILINE)
        version = (int(found[1]), int(found[2])) if found else (0, 0)
        if version < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            raise Refused(
                f"HAProxy {version[0]}.{version[1]} aborts when a held listener opens again: nothing is held here",
                hint=f"install HAProxy {wanted} or newer on this host, or declare class: G4",
            )
        self._trusted = True


def _told(talk: Talk, command: str) -> None:
    """What counts is what the edge shows afterwards; the words of its answer are for people."""
    talk.ask(command)


def _limit(talk: Talk, seen: _Seen, wanted: Mapping[str, int]) -> _Seen:
    """Set what differs and look again. Raises ``Unreachable`` when the edge did not take it."""
    due = [name for name, limit in wanted.items() if seen.limits[name] != limit]
    if not due:
        return seen
    said = [talk.ask(f"set maxconn frontend {name} {wanted[name]}") for name in due]
    after = _seen(talk)
    if any(after.limits[name] != wanted[name] for name in due):
        raise Unreachable(f"the edge did not take the hold: {'; '.join(said) or 'it gave no reason'}")
    return after


def _seen(talk: Talk) -> _Seen:
    stats = {(row["# pxname"], row["svname"]): row for row in stat_rows(talk.ask("show stat"))}
    servers = {(row["be_name"], row["srv_name"]): row for row in server_states(talk.ask("show servers state"))}
    flag, peer, here = (servers.get(name) for name in (_FLAG, _PEER, _HERE))
    if flag is None or peer is None:
        raise Unreachable("this edge has no backend elsewhere: it does not run our configuration of class G3")

    def sessions(proxy: str, server: str) -> int:
        return int(stats[proxy, server]["scur"] or 0)

    came = sum(sessions(name.replace("inner", "hold"), "BACKEND") for name in _LISTENERS)
    passed = sum(sessions(name, "FRONTEND") for name in _LISTENERS)
    app = [name for backend, name in servers if backend == "app"]
    return _Seen(
        limits={name: int(stats[name, "FRONTEND"]["slim"] or 0) for name in _LISTENERS},
        elsewhere=_on(flag),
        peer=f"{peer['srv_addr']}:{peer['srv_port']}",
        peer_on=_on(peer),
        here_on=None if here is None else _on(here),
        app_up=any(int(servers["app", name]["srv_op_state"]) != 0 for name in app),
        in_flight=sessions("app", "BACKEND"),
        slow=sessions("inner-slow", "FRONTEND"),
        waiting=max(0, came - passed),
        streams={name: sessions("streams", name) for name in app},
    )


def _on(server: Mapping[str, str]) -> bool:
    return not int(server["srv_admin_state"]) & _OFF_BITS


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
