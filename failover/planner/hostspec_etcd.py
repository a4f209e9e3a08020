"""One voter of the record as a service: etcd with mutual TLS both ways, times fit for where the voters are. Pure.

What must never be here: who writes the record; that is the port's and the keeper's.
"""

from __future__ import annotations

from failover.model.fleet import Fleet, Site
from failover.model.spec import Ready, ServiceSpec
from failover.planner.hostspec_net import all_local, listen_address

CERTIFICATE = "{host}/trust/host.pem"
KEY = "{host}/trust/host.key"
FLEET_CA = "{host}/trust/ca.pem"

# The record is a few kilobytes that change a few times a second at most. A small quota makes a bug that grows it loud.
_QUOTA_BYTES = 64 * 1024 * 1024
_SNAPSHOT_ENTRIES = 5000
# Eight missed heartbeats, and etcd wants five or more of them in an election time.
_LOCAL_HEARTBEAT_MS, _LOCAL_ELECTION_MS = 100, 800
_WIDE_HEARTBEAT_MS, _WIDE_ELECTION_MS = 200, 2000


def etcd_service(fleet: Fleet, site: Site) -> ServiceSpec:
    """The voter at ``site``. Ready when its client port accepts; whether there is a quorum is the record's business."""
    ports = site.ports
    here = listen_address(site)
    local = all_local(fleet)
    heartbeat_ms, election_ms = (
        (_LOCAL_HEARTBEAT_MS, _LOCAL_ELECTION_MS) if local else (_WIDE_HEARTBEAT_MS, _WIDE_ELECTION_MS)
    )
    voters = ",".join(f"{voter.name}=https://{voter.address}:{voter.ports.etcd_peer}" for voter in fleet.voters)
    options = {
        "name": site.name,
        "data-dir": "{host}/etcd",
        "listen-client-urls": f"https://{here}:{ports.etcd_client}",
        "advertise-client-urls": f"https://{site.address}:{ports.etcd_client}",
        "listen-peer-urls": f"https://{here}:{ports.etcd_peer}",
        "initial-advertise-peer-urls": f"https://{site.address}:{ports.etcd_peer}",
        "initial-cluster": voters,
        "initial-cluster-state": "new",
        "initial-cluster-token": fleet.name,
        "cert-file": CERTIFICATE,
        "key-file": KEY,
        "trusted-ca-file": FLEET_CA,
        "client-cert-auth": "true",
        "peer-cert-file": CERTIFICATE,
        "peer-key-file": KEY,
        "peer-trusted-ca-file": FLEET_CA,
        "peer-client-cert-auth": "true",
        "heartbeat-interval": str(heartbeat_ms),
        "election-timeout": str(election_ms),
        # A frozen voter that wakes must not depose a healthy leader with its higher term.
        "pre-vote": "true",
        "snapshot-count": str(_SNAPSHOT_ENTRIES),
        "auto-compaction-mode": "revision",
        "auto-compaction-retention": "1000",
        "quota-backend-bytes": str(_QUOTA_BYTES),
        "logger": "zap",
        "log-outputs": "stderr",
        "log-level": "warn",
    }
    if local:
        # On loopback the kernel's source address is 127.0.0.1 for every peer, so it never fits the certificate. The
        # certificate itself is still required.
        options["experimental-peer-skip-client-san-verification"] = "true"
    return ServiceSpec(
        name="etcd",
        command=("etcd", *(f"--{name}={value}" for name, value in options.items())),
        ready=Ready(address=site.address, port=ports.etcd_client),
        # A voter that starves loses elections, and with them seconds.
        nice=-10,
    )
