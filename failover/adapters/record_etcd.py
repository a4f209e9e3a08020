"""The record in etcd, through the JSON gateway of its voters (``/v3/…``, bytes as base64, 64-bit numbers as text).

What must never be here: what a change means; ``model.record.illegal`` knows that, and the keepers and runs who ask.

Rules: reads are linearizable. A swap is one transaction that compares the record key's modification and the lease
key's creation, and is sent once. Leases are etcd's own, so the store expires them whatever the holder believes; etcd
counts whole seconds, never fewer than 2 with its default election time, and anew when its leader changes.
"""

from __future__ import annotations

import math
import ssl
import threading
from datetime import UTC, datetime

import msgspec

from failover.adapters.record_etcd_http import Voters, boottime
from failover.adapters.record_etcd_wire import Granted, Kept, Pair, Range, Txn, WatchLine, b64, decode, granted, pairs
from failover.adapters.record_value import (
    LeaseValue,
    check_not_rolled_back,
    decode_lease,
    decode_record,
    encode_lease,
    encode_record,
)
from failover.errors import FailoverError, LeaseHeld, LeaseLost, Unreachable
from failover.model.record import Record, illegal
from failover.model.units import utc_text
from failover.ports.record import Lease, LeaseView

_LOOK_FIRST_S = 0.5  # a swap goes straight to a voter that answered this lately, else a read finds a live one first
_WATCH_SILENCE_S = 1.0  # a frozen voter leaves a watch silent: look again this often
_NOT_FOUND = 404


class _Known(msgspec.Struct, frozen=True):
    record: Record
    mod_revision: int


class EtcdRecordStore:
    """``RecordStore`` on the voters at ``endpoints`` (URLs, or host:port). Safe for threads; close it when done.

    ``dial_timeout_s`` is what a dead voter costs once; ``hedge_s`` what a silent one costs a read.
    """

    def __init__(
        self,
        *,
        fleet: str,
        endpoints: tuple[str, ...],
        tls: ssl.SSLContext | None,
        dial_timeout_s: float = 0.15,
        hedge_s: float = 0.1,
    ) -> None:
        self._voters = Voters(endpoints=endpoints, tls=tls, dial_timeout_s=dial_timeout_s, hedge_s=hedge_s)
        self._prefix = f"/failover/{fleet}/"
        self._record_key = b64(f"{self._prefix}record".encode())
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._seen = (0, 0)

    def read(self, *, deadline_s: float) -> Record | None:
        """See the port. A record older than one read before through this store raises ``Damaged``."""
        known, _ = self._look(deadline_s)
        return known.record if known is not None else None

    def create(self, record: Record, *, lease: Lease, deadline_s: float) -> bool:
        """See the port."""
        fault = illegal(None, record)
        if fault:
            raise ValueError(fault)
        compare = {"key": self._record_key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
        return self._write(compare, record, lease, deadline_s)

    def swap(self, *, expected_revision: int, new: Record, lease: Lease, deadline_s: float) -> bool:
        """See the port. An unanswered swap may still be applied after a read that does not show it; sending another
        one from the same revision is safe, because at most one of the two passes."""
        end = boottime() + deadline_s
        with self._lock:
            known = self._known
        fresh = known is not None and known.record.revision == expected_revision
        if known is None or not fresh or not self._voters.answered_within(_LOOK_FIRST_S):
            known, _ = self._look(deadline_s)
        if known is None or known.record.revision != expected_revision:
            self._require(lease, end - boottime())
            return False
        fault = illegal(known.record, new)
        if fault:
            raise ValueError(fault)
        compare = {
            "key": self._record_key,
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(known.mod_revision),
        }
        return self._write(compare, new, lease, end - boottime())

    def acquire(self, *, name: str, owner: str, ttl_s: float, deadline_s: float) -> Lease:
        """See the port. When its own write stays unanswered the grant is given back, else it expires by itself."""
        end = boottime() + deadline_s
        held = self._lease_pair(name, deadline_s)
        if held is not None:
            raise self._held(name, held)
        whole_s = max(1, math.ceil(ttl_s))
        grant = decode(self._ask("/v3/lease/grant", {"TTL": str(whole_s)}, end - boottime()), Granted).ID
        value = encode_lease(LeaseValue(owner=owner, since=utc_text(datetime.now(UTC)), ttl_s=ttl_s))
        key = self._lease_key(name)
        last = self._last_key(name)
        txn = {
            "compare": [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
            "success": [
                {"request_range": {"key": last}},
                {"request_put": {"key": key, "value": b64(value), "lease": str(grant)}},
                {"request_put": {"key": last, "value": b64(value)}},
            ],
            "failure": [{"request_range": {"key": key}}],
        }
        try:
            answer = decode(self._send("/v3/kv/txn", txn, end - boottime()), Txn)
        except Unreachable as error:
            self._give_back(grant, max(0.3, end - boottime()), error)
            raise Unreachable(f"the lease {name!r} was asked for; {error.message}", where=error.where) from error
        if not answer.succeeded:
            self._revoke(grant, max(0.1, end - boottime()))
            found = pairs(answer)
            if found and found[0]:
                raise self._held(name, found[0][0])
            raise LeaseHeld(f"another one took the lease {name!r} at this moment", where=self._prefix + name)
        token = f"{grant}:{answer.header.revision}"
        before = pairs(answer)[0]
        return Lease(
            name=name, owner=owner, token=token, ttl_s=ttl_s, after=self._view(name, before[0]) if before else None
        )

    def renew(self, lease: Lease, *, deadline_s: float) -> None:
        """See the port."""
        end = boottime() + deadline_s
        grant, _ = _token(lease)
        kept = decode(self._ask("/v3/lease/keepalive", {"ID": str(grant)}, deadline_s), Kept)
        if kept.result.TTL <= 0:
            raise self._lost(lease)
        self._require(lease, end - boottime())

    def release(self, lease: Lease, *, deadline_s: float) -> None:
        """See the port. First its trace is taken away, which only a lease that was never given back leaves."""
        end = boottime() + deadline_s
        grant, created = _token(lease)
        last = self._last_key(lease.name)
        txn = {
            "compare": [{"key": last, "target": "MOD", "result": "EQUAL", "mod_revision": str(created)}],
            "success": [{"request_delete_range": {"key": last}}],
        }
        granted(self._voters.ask("/v3/kv/txn", msgspec.json.encode(txn), deadline_s=deadline_s))
        self._revoke(grant, max(0.1, end - boottime()))

    def holder(self, *, name: str, deadline_s: float) -> LeaseView | None:
        """See the port."""
        held = self._lease_pair(name, deadline_s)
        return None if held is None else self._view(name, held)

    def wait_change(self, *, after_revision: int, timeout_s: float) -> Record | None:
        """See the port. Watches, and looks by itself each second: a watch at a frozen voter stays silent for ever."""
        end = boottime() + timeout_s
        while True:
            left = end - boottime()
            known, revision = self._look(max(left, 0.2))
            if known is not None and known.record.revision > after_revision:
                return known.record
            left = end - boottime()
            if left <= 0:
                return None
            self._watch(revision + 1, min(left, _WATCH_SILENCE_S))

    def close(self) -> None:
        """See the port."""
        self._voters.close()

    def _look(self, deadline_s: float) -> tuple[_Known | None, int]:
        """The record with its place in etcd's history, and how far that history goes. Raises as ``read``."""
        with self._lock:
            seen = self._seen  # before asking: what was read before this instant must still be there
        answer = decode(self._ask("/v3/kv/range", {"key": self._record_key}, deadline_s), Range)
        where = self._prefix + "record"
        if not answer.kvs:
            check_not_rolled_back(seen=seen, record=None, where=where)
            return None, answer.header.revision
        known = _Known(decode_record(answer.kvs[0].value, where=where), answer.kvs[0].mod_revision)
        check_not_rolled_back(seen=seen, record=known.record, where=where)
        self._learn(known)
        return known, answer.header.revision

    def _learn(self, known: _Known) -> None:
        with self._lock:
            if self._known is None or known.record.revision >= self._known.record.revision:
                self._known = known
            self._seen = max(self._seen, (known.record.epoch, known.record.revision))

    def _write(self, compare: dict[str, str], new: Record, lease: Lease, deadline_s: float) -> bool:
        lease_key, (_, created) = self._lease_key(lease.name), _token(lease)
        txn = {
            "compare": [
                compare,
                {"key": lease_key, "target": "CREATE", "result": "EQUAL", "create_revision": str(created)},
            ],
            "success": [{"request_put": {"key": self._record_key, "value": b64(encode_record(new))}}],
            "failure": [{"request_range": {"key": lease_key}}],
        }
        answer = decode(self._send("/v3/kv/txn", txn, deadline_s), Txn)
        if answer.succeeded:
            self._learn(_Known(new, answer.header.revision))
            return True
        held = pairs(answer)
        if not held or not held[0] or held[0][0].create_revision != created:
            raise self._lost(lease)
        return False

    def _watch(self, start_revision: int, silence_s: float) -> None:
        """Return when something happened to the record, the watch broke, or ``silence_s`` passed: then look again."""
        create = {"create_request": {"key": self._record_key, "start_revision": str(start_revision)}}
        rest = b""
        try:
            with self._voters.stream("/v3/watch", msgspec.json.encode(create), silence_s=silence_s) as pieces:
                for piece in pieces:
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        seen = decode(line, WatchLine).result
                        if seen.events or seen.canceled:
                            return
        except Unreachable:
            return  # the caller looks, which says by itself when nobody answers

    def _require(self, lease: Lease, deadline_s: float) -> None:
        held = self._lease_pair(lease.name, deadline_s)
        if held is None or held.create_revision != _token(lease)[1]:
            raise self._lost(lease)

    def _lease_pair(self, name: str, deadline_s: float) -> Pair | None:
        answer = decode(self._ask("/v3/kv/range", {"key": self._lease_key(name)}, deadline_s), Range)
        return answer.kvs[0] if answer.kvs else None

    def _revoke(self, grant: int, deadline_s: float) -> None:
        answer = self._voters.ask("/v3/lease/revoke", msgspec.json.encode({"ID": str(grant)}), deadline_s=deadline_s)
        if answer.status != _NOT_FOUND:
            granted(answer)

    def _give_back(self, grant: int, deadline_s: float, because: FailoverError) -> None:
        try:
            self._revoke(grant, deadline_s)
        except Unreachable as error:
            because.add_note(f"the grant could not be given back and expires by itself: {error}")

    def _ask(self, path: str, body: dict[str, str], deadline_s: float) -> bytes:
        return granted(self._voters.ask(path, msgspec.json.encode(body), deadline_s=deadline_s))

    def _send(self, path: str, body: dict[str, object], deadline_s: float) -> bytes:
        return granted(self._voters.send_once(path, msgspec.json.encode(body), deadline_s=deadline_s))

    def _lease_key(self, name: str) -> str:
        return b64(f"{self._prefix}leases/{name}".encode())

    def _last_key(self, name: str) -> str:
        """Who had the lease last; no lease is on it, so that it outlives one that ran out."""
        return b64(f"{self._prefix}lease-holders/{name}".encode())

    def _view(self, name: str, pair: Pair) -> LeaseView:
        value = decode_lease(pair.value, where=f"{self._prefix}leases/{name}")
        return LeaseView(name=name, owner=value.owner, since=value.since)

    def _held(self, name: str, pair: Pair) -> LeaseHeld:
        view = self._view(name, pair)
        return LeaseHeld(
            f"the lease {name!r} is held by {view.owner} since {view.since}",
            where=f"{self._prefix}leases/{name}",
            hint="wait for that run to end; when its process is gone the lease expires by itself",
        )

    def _lost(self, lease: Lease) -> LeaseLost:
        return LeaseLost(f"the lease {lease.name!r} of {lease.owner} is gone", where=f"{self._prefix}leases")


def _token(lease: Lease) -> tuple[int, int]:
    """(etcd lease id, create revision of the lease key)."""
    grant, _, created = lease.token.partition(":")
    return int(grant), int(created)
