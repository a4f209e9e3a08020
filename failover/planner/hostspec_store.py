"""The object store a local site's provider "has", as a service: SeaweedFS (a rich one) or ``rclone serve s3`` (a poor
one). Only for fleets on one machine; a cloud's own store is no service of ours. Pure.

What must never be here: buckets and what is in them. And never call such a store immutable: SeaweedFS's object lock
holds on its S3 port alone, not on its inner ones.
"""

from __future__ import annotations

import ipaddress
import json

import msgspec

from failover.errors import ConfigError
from failover.model.fleet import Site
from failover.model.spec import File, Ready, ServiceSpec
from failover.model.stores import StoreKey, StoreKind
from failover.planner.hostspec_net import LOCAL

FOLDER = "store"
NAME = "store"

# SeaweedFS names its unix sockets by port alone, all in one folder of the machine, and takes its ports on 127.0.0.1
# as well: two sites with equal ports break each other, also sites of two fleets. So the ports follow from the address.
_FIRST_PORT = 20_000
_PORTS_PER_SITE = 8
_ADDRESSES = 1 << 10


class StorePorts(msgspec.Struct, frozen=True, kw_only=True):
    """``s3`` is what clients use; the others are SeaweedFS's own, each with one for gRPC."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int


def store_ports(site: Site) -> StorePorts:
    """Ports nobody else on the machine has: 127.N.0.1 to 127.N.0.4 and 198.18.N.1 to .4 give different ones for each.

    Below the ports that a system hands out by itself.
    """
    octets = ipaddress.IPv4Address(site.address).packed
    group = octets[1] if octets[0] == 127 else octets[2]
    number = (group * 4 + octets[3] % 4) % _ADDRESSES
    first = _FIRST_PORT + number * _PORTS_PER_SITE
    return StorePorts(**{name: first + index for index, name in enumerate(StorePorts.__struct_fields__)})


def store_service(site: Site, kind: StoreKind, key: StoreKey) -> ServiceSpec:
    """The store at ``site``. Raises ``ConfigError`` for what is no process of a local site."""
    if site.kind != LOCAL:
        raise ConfigError(f"{site.name} is no local site: its provider has a store of its own")
    if kind == "seaweedfs":
        return _seaweedfs(site, key)
    if kind == "rclone":
        return _rclone(site, key)
    raise ConfigError(f"a store of kind {kind} is no program of ours", hint="write kind: seaweedfs or kind: rclone")


def _seaweedfs(site: Site, key: StoreKey) -> ServiceSpec:
    ports = store_ports(site)
    credentials = [{"accessKey": key.access_key, "secretKey": key.secret.reveal()}]
    identities = {"identities": [{"name": "failover", "credentials": credentials, "actions": ["Admin"]}]}
    options = {
        "dir": "{host}/" + f"{FOLDER}/data",
        "ip": site.address,
        "ip.bind": site.address,
        # On by default: a packet that leaves for a place nobody declared.
        "master.telemetry": "false",
        "master.port": str(ports.master),
        "master.port.grpc": str(ports.master_grpc),
        "master.volumeSizeLimitMB": "512",
        # Alone in its cluster it would wait 17 s for others after each restart.
        "master.electionTimeout": "1s",
        "volume.port": str(ports.volume),
        "volume.port.grpc": str(ports.volume_grpc),
        "volume.max": "64",
        "filer": "true",
        "filer.port": str(ports.filer),
        "filer.port.grpc": str(ports.filer_grpc),
        "s3": "true",
        "s3.port": str(ports.s3),
        "s3.port.grpc": str(ports.s3_grpc),
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.config": "{host}/" + f"{FOLDER}/keys.json",
    }
    return ServiceSpec(
        name=NAME,
        command=("weed", "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())),
        # A third of the memory at the same speed; half of this costs twice the time (facts: storage 2.3).
        environment={"GOMEMLIMIT": "350MiB"},
        files=(
            File(path=f"{FOLDER}/keys.json", text=json.dumps(identities, sort_keys=True)),
            # It wants its folder to be there.
            File(path=f"{FOLDER}/data/.keep", text=""),
        ),
        ready=Ready(address=site.address, port=ports.s3),
    )


def _rclone(site: Site, key: StoreKey) -> ServiceSpec:
    port = store_ports(site).s3
    options = {
        "addr": f"{site.address}:{port}",
        # None of the operator's own settings, and nothing in the home directory.
        "config": "/dev/null",
        "cache-dir": "{host}/" + f"{FOLDER}/cache",
    }
    return ServiceSpec(
        name=NAME,
        command=(
            "rclone",
            "serve",
            "s3",
            "{host}/" + f"{FOLDER}/data",
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        # A list in an environment variable is CSV there, and the pair of key and secret holds a comma.
        environment={"RCLONE_AUTH_KEY": f'"{key.access_key},{key.secret.reveal()}"'},
        files=(File(path=f"{FOLDER}/data/.keep", text=""),),
        ready=Ready(address=site.address, port=port),
    )
