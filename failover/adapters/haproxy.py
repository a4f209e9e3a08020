"""A running edge, turned through HAProxy's stats socket: to the local processes, or on to the primary's site.

Knows the names in the configuration that ``planner/hostspec_edge`` writes (backend ``forward`` with the servers
``primary`` and ``here``). What must never be here: a reload (it drops connections), or who is primary.

Every call is one connection, repeatable, bounded by the deadline, and ends by looking: HAProxy answers a command with
English, so what counts is the state it shows afterwards.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from failover.adapters.haproxy_socket import StatsSocket, Talk, server_states, stat_rows
from failover.errors import OutcomeUnknown, Unreachable

_TARGET = "forward/primary"
# Bits of srv_admin_state (maintenance and drain, forced or inherited) and a value of srv_op_state in "show servers
# state" (HAProxy management guide, section 9.3). 0x04 only remembers that the configuration began with maintenance.
_OFF_BITS = 0x01 | 0x02 | 0x20 | 0x08 | 0x10
_OP_STOPPED = 0


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """One local process behind the edge. ``up``: its health check passes."""

    name: str
    up: bool
    sessions: int


class EdgeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge does at this moment.

    ``forwarding``: new connections are meant for ``target``; ``target_up`` says whether they really go there (else the
    local processes take them). ``forwarded_sessions`` may be above 0 while not forwarding: they drain.
    """

    forwarding: bool
    target: str
    target_up: bool
    forwarded_sessions: int
    here_sessions: int
    http_sessions: int
    backends: tuple[Backend, ...]


class Edge:
    """One site's edge by the path of its stats socket. Holds no connection; safe from any thread.

    Each call raises ``Unreachable`` when the edge did not answer within ``deadline_s``, ``OutcomeUnknown`` when a
    change was sent and no answer came. Repeat it: every change says what shall be, not what to flip.
    """

    def __init__(self, socket_path: Path | str, *, deadline_s: float = 0.5) -> None:
        self._socket = StatsSocket(socket_path, deadline_s=deadline_s)

    def serve_locally(self) -> EdgeFacts:
        """New connections go to this host's processes. Forwarded ones live on and close with their next answer."""
        # Not "maint": that ends the forwarded sessions at once, each a client error in a planned move.
        return self._change((f"set server {_TARGET} state drain",), lambda facts: not facts.forwarding)

    def forward_to(self, address: str, port: int) -> EdgeFacts:
        """New connections go to ``address:port``, the primary's forward port; to local processes while that is dead."""
        target = f"{ipaddress.ip_address(address)}:{int(port)}"
        facts = self.facts()
        if facts.forwarding and facts.target == target:
            return facts
        commands = [f"set server {_TARGET} state ready"]
        if facts.target != target:
            # Away from the old address first: between the commands no connection may meet half of the change. What the
            # checks found at the old address says nothing of the new one; the first refusal there marks it down.
            commands[:0] = [
                f"set server {_TARGET} state drain",
                f"set server {_TARGET} addr {ipaddress.ip_address(address)} port {int(port)}",
                f"set server {_TARGET} health up",
            ]
        return self._change(commands, lambda facts: facts.forwarding and facts.target == target)

    def cut_forwarded(self) -> EdgeFacts:
        """End every forwarded session now: their target is known dead, clients retry. Never in a planned move."""
        return self._change((f"shutdown sessions server {_TARGET}",), lambda facts: True)

    def facts(self) -> EdgeFacts:
        """What it does now. Changes nothing."""
        with self._socket.conversation() as talk:
            return _read_facts(talk)

    def _change(self, commands: Sequence[str], arrived: Callable[[EdgeFacts], bool]) -> EdgeFacts:
        with self._socket.conversation() as talk:
            try:
                said = [talk.ask(command) for command in commands]
                facts = _read_facts(talk)
            except OSError as error:
                where = str(self._socket.path)
                raise OutcomeUnknown("the edge stopped answering during a change", where=where) from error
        if not arrived(facts):
            reason = "; ".join(answer for answer in said if answer) or "it gave no reason"
            raise Unreachable(f"the edge did not take the change: {reason}", where=str(self._socket.path))
        return facts


def _read_facts(talk: Talk) -> EdgeFacts:
    states = {(row["be_name"], row["srv_name"]): row for row in server_states(talk.ask("show servers state"))}
    counts = {(row["# pxname"], row["svname"]): int(row["scur"] or 0) for row in stat_rows(talk.ask("show stat"))}
    primary = states.get(("forward", "primary"))
    if primary is None:
        raise Unreachable("this edge has no server forward/primary: it does not run our configuration")
    return EdgeFacts(
        forwarding=not int(primary["srv_admin_state"]) & _OFF_BITS,
        target=f"{primary['srv_addr']}:{primary['srv_port']}",
        target_up=int(primary["srv_op_state"]) != _OP_STOPPED,
        forwarded_sessions=counts.get(("forward", "primary"), 0),
        here_sessions=counts.get(("forward", "here"), 0),
        http_sessions=counts.get(("site", "FRONTEND"), 0),
        backends=tuple(
            Backend(name=server, up=int(row["srv_op_state"]) != _OP_STOPPED, sessions=counts.get(("app", server), 0))
            for (backend, server), row in states.items()
            if backend == "app"
        ),
    )
