"""Where a store that a site runs itself listens: worked out from the site's address, so that nobody has to choose."""

from __future__ import annotations

import ipaddress

import msgspec

# SeaweedFS names its unix sockets by port alone, all in one folder of the machine, and takes its ports on 127.0.0.1
# as well: two sites with equal ports break each other, also sites of two fleets. So the ports follow from the address.
_FIRST_PORT = 20_000
_PORTS_PER_SITE = 8
_ADDRESSES = 1 << 10


class StorePorts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a store that runs at a site. ``s3`` is what clients use; the others are SeaweedFS's own, each with one for
    gRPC."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int


def store_ports(address: str) -> StorePorts:
    """Ports nobody else on the machine has: 127.N.0.1 to 127.N.0.4 and 198.18.N.1 to .4 give different ones for each.

    Below the ports that a system hands out by itself. Raises ``ValueError`` for what is no IPv4 address.
    """
    octets = ipaddress.IPv4Address(address).packed
    group = octets[1] if octets[0] == 127 else octets[2]
    number = (group * 4 + octets[3] % 4) % _ADDRESSES
    first = _FIRST_PORT + number * _PORTS_PER_SITE
    return StorePorts(**{name: first + index for index, name in enumerate(StorePorts.__struct_fields__)})
