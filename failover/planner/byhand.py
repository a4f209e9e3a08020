"""What a person types when no ``failover`` runs: each plan step's command, its check and its way back, as text. Pure.

Every line uses programs that stand on any Debian host (curl, psql, etcdctl, pg_ctl, nc, dig). Passwords are named by
their file, never written out. What must never be here: a decision, or a path of one machine.
"""

from __future__ import annotations

from failover.model.fleet import Fleet, Site
from failover.planner.hostspec import record_endpoints
from failover.planner.hostspec_app import gate_socket

TRUST = ".failover/trust"
_TLS = f"--cacert {TRUST}/ca.pem --cert {TRUST}/operator.pem --key {TRUST}/operator.key"


class ByHand:
    """Texts for one fleet. Paths are relative to the folder of the fleet file."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def state(self, name: str) -> str:
        """Ask the site's agent what it knows."""
        site = self._fleet.site(name)
        return f"curl -s {_TLS} https://{site.address}:{site.ports.agent}/v1/state"

    def psql(self, name: str, statement: str) -> str:
        """One statement at the site's PostgreSQL, as its keeper."""
        site = self._fleet.site(name)
        return (
            f"PGPASSWORD=$(cat {TRUST}/keeper_password) psql -h {site.address} -p {site.ports.postgres} "
            f'-U keeper -d postgres -Atc "{statement}"'
        )

    def record(self, words: str = "get --print-value-only") -> str:
        """Read the record (or, with other words, change it) at any voter that lives."""
        endpoints = ",".join(record_endpoints(self._fleet)) or "(no etcd in this fleet)"
        return f"etcdctl --endpoints={endpoints} {_TLS} {words} /failover/{self._fleet.name}/record"

    def swap(self, change: str) -> str:
        """Change the record as one transaction that compares what was read: never a plain put (safety C1)."""
        return f"{self.record('txn --interactive')}  # compare mod(key) with the one read; then put: {change}"

    def gates(self, name: str, line: str) -> str:
        """Send one line to every gate of the site's app processes."""
        sockets = " ".join(gate_socket(service.name) for service in self._fleet.app.services if service.gate)
        return f"cd {self.host(name)} && for s in {sockets}; do echo '{line}' | nc -NU $s; done"

    def pg_ctl(self, name: str, words: str) -> str:
        """``pg_ctl`` at the site's data directory, as the user that owns it."""
        return f"pg_ctl -D {self.host(name)}/postgres/data {words}"

    def controldata(self, name: str) -> str:
        """The control file of a stopped PostgreSQL."""
        return f"pg_controldata {self.host(name)}/postgres/data | grep -E 'state|REDO|checkpoint location'"

    def dig(self, name: str, host_name: str) -> str:
        """Ask the site's authoritative server itself, never a resolver."""
        site = self._fleet.site(name)
        return f"dig +short +norecurse @{site.address} -p {site.ports.dns} {host_name} A"

    def edge(self, name: str, path: str = "/health") -> str:
        """Ask the site's edge as a client would."""
        site = self._fleet.site(name)
        return f"curl -s -o /dev/null -w '%{{http_code}}\\n' http://{site.address}:{site.ports.edge}{path}"

    def pulumi(self, name: str, verb: str) -> str:
        """Pulumi itself, for the day ``failover`` is broken."""
        return (
            "PULUMI_BACKEND_URL=file://$PWD/.failover/pulumi "
            f"PULUMI_CONFIG_PASSPHRASE_FILE=$PWD/{TRUST}/pulumi_passphrase pulumi {verb} --stack {name}"
        )

    def host(self, name: str) -> str:
        """The folder of the site's host: below the state folder for a local site, else on its own machine."""
        site = self._fleet.site(name)
        return f".failover/sites/{name}" if _local(site) else "/var/lib/failover"


def _local(site: Site) -> bool:
    return site.kind == "local"
