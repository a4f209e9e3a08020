"""What an authoritative server answers for our names, asked directly: UDP, TCP when the answer was cut short.

What must never be here: a resolver. A cache between us and the server is what we are checking against.
"""

from __future__ import annotations

import socket
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from failover.errors import Unreachable

# A lost packet is asked for again; loopback and a neighbouring city both answer well within this.
_RETRANSMIT_S = 0.4


def served_by(address: str, port: int, names: tuple[str, ...], *, deadline_s: float) -> dict[str, tuple[str, ...]]:
    """Name -> addresses (sorted; empty: the server says there are none).

    Raises ``Unreachable`` when it does not answer within ``deadline_s``, or does not answer for our zone.
    """
    until_s = _boottime_s() + deadline_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected:
        # Connected, so that a closed port is an error at once instead of a silence up to the deadline.
        connected.connect((address, port))
        connected.setblocking(False)
        return {name: _ask(connected, address, port, name, until_s=until_s) for name in names}


def _ask(connected: socket.socket, address: str, port: int, name: str, *, until_s: float) -> tuple[str, ...]:
    query = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.A)
    query.flags &= ~dns.flags.RD
    where = f"{address}:{port}"
    response = None
    while response is None:
        left_s = until_s - _boottime_s()
        if left_s <= 0:
            raise Unreachable(f"the DNS server did not answer for {name} in time", where=where)
        try:
            response, _ = dns.query.udp_with_fallback(
                query,
                address,
                port=port,
                timeout=min(_RETRANSMIT_S, left_s),
                udp_sock=connected,
                ignore_errors=True,
            )
        except dns.exception.Timeout:
            continue
        except (OSError, EOFError, dns.exception.DNSException) as error:
            why = type(error).__name__
            raise Unreachable(f"the DNS server did not answer for {name}: {why}", where=where) from error
    code = response.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not response.flags & dns.flags.AA:
        said = dns.rcode.to_text(code)
        raise Unreachable(f"the DNS server does not answer for the zone of {name} ({said})", where=where)
    records = [record for rrset in response.answer if rrset.rdtype == dns.rdatatype.A for record in rrset]
    return tuple(sorted(record.address for record in records))


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
