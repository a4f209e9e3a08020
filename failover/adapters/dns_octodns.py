"""DNS port over octoDNS as a library: one provider, one process and one deadline per call.

In a process of its own because some plug-ins pass no timeout at all and one waits 300 s on a rate limit: a deadline
that cannot kill is a wish. Our PowerDNS servers are the providers of the local fleet. What must never be here: a plan
over two providers (it changes nothing anywhere when one of them is dead).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import failover
from failover import kernel
from failover.adapters.dns_served import served_by
from failover.errors import Damaged, Denied, OutcomeUnknown, Unreachable
from failover.model.fleet import Fleet
from failover.model.secret import FleetSecrets, Secret
from failover.ports.dns import DnsChange, NameSet

_CHILD = "failover.adapters.dns_octodns_child"


class DnsServer(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's server of our zone: where it answers (``port``), where it is changed (``api_port``)."""

    address: str
    port: int
    api_port: int
    api_key: Secret


def dns_servers(fleet: Fleet, secrets: FleetSecrets) -> dict[str, DnsServer]:
    """The fleet's DNS providers by site."""
    return {
        site.name: DnsServer(
            address=site.address,
            port=site.ports.dns,
            api_port=site.ports.dns_api,
            api_key=secrets.dns_api_keys[site.name],
        )
        for site in fleet.dns_sites
    }


class OctoDns:
    """``DnsProvider``. Holds nothing between calls; safe from any thread, calls run side by side."""

    def __init__(self, servers: Mapping[str, DnsServer]) -> None:
        self._servers = dict(servers)

    def plan(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        """What would change."""
        return self._call(site, wanted, apply=False, deadline_s=deadline_s)

    def apply(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        """Make it so, in one request to the provider: all names change or none."""
        return self._call(site, wanted, apply=True, deadline_s=deadline_s)

    def served(self, site: str, names: tuple[str, ...], *, deadline_s: float) -> dict[str, tuple[str, ...]]:
        """What the server answers now. In this process: no plug-in is involved."""
        server = self._servers[site]
        return served_by(server.address, server.port, names, deadline_s=deadline_s)

    def _call(self, site: str, wanted: NameSet, *, apply: bool, deadline_s: float) -> tuple[DnsChange, ...]:
        empty = sorted(name for name, addresses in wanted.addresses.items() if not addresses)
        if empty:
            raise ValueError(f"no address for {', '.join(empty)}: a name is never emptied")
        server = self._servers[site]
        where = f"{site}, {server.address}:{server.api_port}"
        request = {
            "site": site,
            "host": server.address,
            "api_port": server.api_port,
            "api_key": server.api_key.reveal(),
            "timeout_s": deadline_s,
            "parent": os.getpid(),
            "apply": apply,
            "zone": wanted.zone,
            "ttl_s": wanted.ttl_s,
            "addresses": wanted.addresses,
        }
        lines, ended = _converse(request, deadline_s=deadline_s)
        sent = any(line.get("sent") for line in lines)
        result = next((line for line in lines if "outcome" in line), None)
        if result is None:
            why = f"the DNS provider did not answer within {deadline_s:g} s" if not ended else "the DNS process died"
            raise _no_answer(why, where=where, sent=sent)
        return _changes(result, sent=sent, where=where)


def _converse(request: dict[str, Any], *, deadline_s: float) -> tuple[list[dict[str, Any]], bool]:
    """The child's lines, and whether it ended by itself. It is gone when this returns, also when this raises."""
    until_s = _boottime_s() + deadline_s
    # -P and our own folder first: the current folder has no say in what is imported.
    path = os.pathsep.join(filter(None, (str(Path(failover.__file__).parent.parent), os.environ.get("PYTHONPATH", ""))))
    # Half a second of imports must not take a core from the move whose names these are.
    with kernel.calm_children():
        child = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, "-P", "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
    with child:
        try:
            output, _ = child.communicate(json.dumps(request).encode(), timeout=until_s - _boottime_s())
            ended = True
        except subprocess.TimeoutExpired:
            child.kill()
            output, _ = child.communicate()
            ended = False
        finally:
            child.kill()
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")], ended


def _changes(result: dict[str, Any], *, sent: bool, where: str) -> tuple[DnsChange, ...]:
    status = result.get("status", 0)
    match result["outcome"]:
        case "done":
            return tuple(msgspec.convert(change, DnsChange) for change in result["changes"])
        case "no-zone":
            raise Damaged("the DNS provider does not have our zone", where=where, hint="failover deploy makes the zone")
        case _ if status in (401, 403):
            raise Denied("the DNS provider refused our key", where=where, hint="compare trust/dns_api_key.SITE")
        case _ if 400 <= status < 500:
            raise Unreachable(f"the DNS provider refused the request (HTTP {status})", where=where)
        case _:
            detail = f" (HTTP {status})" if status else ""
            kind = result.get("kind", "it was given up")
            raise _no_answer(f"the DNS provider gave no answer: {kind}{detail}", where=where, sent=sent)


def _no_answer(message: str, *, where: str, sent: bool) -> Unreachable:
    hint = "ask the server itself what it serves before sending it again"
    return OutcomeUnknown(message, where=where, hint=hint) if sent else Unreachable(message, where=where)


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
