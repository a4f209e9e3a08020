"""One look at, or one change of, one DNS provider, as a process of its own that may be killed (dns_octodns starts it).

Reads a request as JSON on stdin (the API key is in it: never in argv or environ), writes JSON lines on stdout: at most
one ``{"sent": true}`` before a change leaves, then one result.

Imports are the cost of each call (0.3 s of 0.4): nothing of the project, and of octoDNS only what one zone needs. What
must never be here: more than one provider per process (a dead one would stop the live one), NS or SOA records.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from octodns.record import Record
from octodns.zone import Zone
from octodns_powerdns import PowerDnsProvider
from requests import Response

# What may lead clients to an address: at our names these are ours, whatever was there before. A forgotten AAAA or CNAME
# would go on sending users to the provider that is gone.
_ADDRESSES = ("A", "AAAA", "CNAME")


class OurNames:
    """An octoDNS processor: wanted = what is there, with the address records of our names replaced."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def process_target_zone(self, existing: Any, *, target: Any, lenient: bool = False) -> Any:
        return existing

    def process_source_and_target_zones(
        self, desired: Any, existing: Any, target: Any, *, lenient: bool = False
    ) -> tuple[Any, Any]:
        for record in existing.records:
            if record.name not in self._names or record._type not in _ADDRESSES:
                desired.add_record(record, lenient=True)
        return desired, existing


class Conversation:
    """The provider's plug-in for one request, and the last status it was answered (never read from a text)."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self.status = 0
        self._provider = PowerDnsProvider(
            request["site"],
            request["host"],
            request["api_key"],
            port=request["api_port"],
            timeout=request["timeout_s"],
            enable_dynamic=False,
        )
        self._provider._sess.hooks["response"].append(self._heard)
        # No proxy from the environment: the call goes to the provider's own address or fails.
        self._provider._sess.trust_env = False

    def _heard(self, response: Response, *_: object, **__: object) -> None:
        self.status = response.status_code

    def run(self) -> dict[str, Any]:
        """The result line. Raises what the plug-in raises."""
        request = self._request
        wanted = Zone(request["zone"] + ".", [])
        for name, addresses in request["addresses"].items():
            data = {"type": "A", "ttl": request["ttl_s"], "values": list(addresses)}
            wanted.add_record(Record.new(wanted, wanted.hostname_from_fqdn(name + "."), data))
        ours = frozenset(record.name for record in wanted.records)
        plan = self._provider.plan(wanted, processors=[OurNames(ours)])
        if plan is None:
            return {"outcome": "done", "changes": []}
        if not plan.exists:
            return {"outcome": "no-zone"}
        changes = [_described(change) for change in plan.changes]
        if request["apply"]:
            if os.getppid() != request["parent"]:
                # Killed while we looked: nobody waits for this change, and a later one may have been made meanwhile.
                return {"outcome": "orphan"}
            _say({"sent": True})
            self._provider.apply(plan)
        return {"outcome": "done", "changes": changes}


def _described(change: Any) -> dict[str, Any]:
    record = change.new or change.existing
    return {"name": record.fqdn.rstrip("."), "before": _values(change.existing), "after": _values(change.new)}


def _values(record: Any) -> list[str]:
    if record is None:
        return []
    return sorted(str(value) for value in record.values) if hasattr(record, "values") else [str(record.value)]


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Carry out the request on stdin. Whatever is raised ends the process with the line that tells of it."""
    logging.disable(logging.CRITICAL)
    conversation = Conversation(json.load(sys.stdin))

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # Never the exception's text, it may quote headers with the key; and never deciding by it: for a refused key
        # the plug-in raises a nameless Exception, but the status was heard.
        place = traceback.extract_tb(trace)[-1]
        at = f"{kind.__name__} at {Path(place.filename).name}:{place.lineno}"
        _say({"outcome": "failed", "kind": at, "status": conversation.status})

    sys.excepthook = tell
    _say(conversation.run())


if __name__ == "__main__":
    main()
