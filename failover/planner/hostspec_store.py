"""The object store a local site's provider "has", as a service: SeaweedFS (a rich one) or ``rclone serve s3`` (a poor
one). Only for fleets on one machine; a cloud's own store is no service of ours. Pure.

What must never be here: buckets and what is in them. And never call such a store immutable: SeaweedFS's object lock
holds on its S3 port alone, not on its inner ones.
"""

from __future__ import annotations

import json

from failover.errors import ConfigError
from failover.model.fleet import Site
from failover.model.spec import File, Ready, ServiceSpec
from failover.model.store_ports import store_ports
from failover.model.stores import STORE_SERVICE, StoreKey, StoreKind
from failover.planner.hostspec_net import LOCAL

FOLDER = "store"


def store_sockets(site: Site) -> tuple[str, ...]:
    """Where SeaweedFS listens besides, outside the host's folder whatever it is told: what a killed one leaves."""
    ports = store_ports(site.address)
    served = {"master": ports.master, "volume": ports.volume, "filer": ports.filer, "s3": ports.s3}
    grpc = {"master": ports.master_grpc, "volume": ports.volume_grpc, "filer": ports.filer_grpc, "s3": ports.s3_grpc}
    names = [f"{name}-{number}" for name, number in served.items()]
    names += [f"{name}-grpc-{number}" for name, number in grpc.items()]
    return tuple(f"/tmp/seaweedfs-{name}.sock" for name in names)


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
    ports = store_ports(site.address)
    credentials = [{"accessKey": key.access_key, "secretKey": key.secret.reveal()}]
    identities = {"identities": [{"name": "failover", "credentials": credentials, "actions": ["Admin"]}]}
    options = {
        "dir": "{host}/" + f"{FOLDER}/seaweedfs",
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
        # A bucket is made by deploy, and one that holds anything is nobody's to remove.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.config": "{host}/" + f"{FOLDER}/keys.json",
    }
    return ServiceSpec(
        name=STORE_SERVICE,
        command=("weed", "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())),
        # A third of the memory at the same speed; half of this costs twice the time (facts: storage 2.3).
        environment={"GOMEMLIMIT": "350MiB"},
        files=(
            File(path=f"{FOLDER}/keys.json", text=json.dumps(identities, sort_keys=True)),
            # It wants its folder to be there.
            File(path=f"{FOLDER}/seaweedfs/.keep", text=""),
            File(path=f"run/{STORE_SERVICE}.sockets", text="".join(f"{path}\n" for path in store_sockets(site))),
        ),
        ready=Ready(address=site.address, port=ports.s3),
    )


def _rclone(site: Site, key: StoreKey) -> ServiceSpec:
    port = store_ports(site.address).s3
    options = {
        "addr": f"{site.address}:{port}",
        # None of the operator's own settings, and nothing in the home directory.
        "config": "/dev/null",
        "cache-dir": "{host}/" + f"{FOLDER}/cache",
    }
    return ServiceSpec(
        name=STORE_SERVICE,
        command=(
            "rclone",
            "serve",
            "s3",
            "{host}/" + f"{FOLDER}/rclone",
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        # A list in an environment variable is CSV there, and the pair of key and secret holds a comma.
        environment={"RCLONE_AUTH_KEY": f'"{key.access_key},{key.secret.reveal()}"'},
        files=(File(path=f"{FOLDER}/rclone/.keep", text=""),),
        ready=Ready(address=site.address, port=port),
    )
