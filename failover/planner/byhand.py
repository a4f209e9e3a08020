"""What a person types when no ``failover`` runs: each plan step's command, its check and its way back, as text. Pure.

Every line uses programs of any Debian host with etcd and PostgreSQL's client (python3, curl, psql, etcdctl, dig) and
runs in the folder of the fleet file. Passwords are named by their file, never written out; what is no command begins
with ``#``. What must never be here: a decision, or a path of one machine.
"""

from __future__ import annotations

import json

from failover.model.fleet import AppClass, Fleet
from failover.planner.dns import primary_name, public_name
from failover.planner.hostspec import record_endpoints
from failover.planner.hostspec_app import gate_socket
from failover.planner.hostspec_edge import STATS_SOCKET
from failover.planner.hostspec_hold import LISTENERS
from failover.planner.wal import SHIPPER_PID

TRUST = ".failover/trust"
NOTHING = "# nothing to take back"
_LOCAL = "local"
_TLS = f"--cacert {TRUST}/ca.pem --cert {TRUST}/operator.pem --key {TRUST}/operator.key"
_SAY = (
    "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    's.sendall(sys.argv[2].encode()+b\\"\\n\\"); print(s.makefile().readline(),end=\\"\\")'
)


_SAY_ALL = _SAY.replace("readline()", "read()")


class ByHand:
    """Texts for one fleet."""

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

    def record(self) -> str:
        """Read the record at any majority of the voters."""
        return f"{self._etcdctl} get --print-value-only {self._key}"

    def swap(self, change: str) -> str:
        """Change the record as one transaction that compares what was read: never a plain put (safety C1).

        ``change`` is Python on ``r``, the record as a dict; the revision grows by itself. SUCCESS is its answer;
        FAILURE means that somebody else wrote first: look again before anything else."""
        before = "import json,sys; r=json.load(sys.stdin); r['revision']+=1"
        program = f"{before}; {change}; print(json.dumps(json.dumps(r)))"
        return "\n".join(
            (
                f"E='{self._etcdctl}'; K={self._key}",
                """M=$($E get $K -w fields | sed -n 's/^"ModRevision" : //p')""",
                f'N=$($E get --print-value-only $K | python3 -c "{program}")',
                # etcdctl splits at blanks inside single quotes too; only a double-quoted value stays whole.
                """printf 'mod("%s") = "%s"\\n\\nput %s %s\\n\\n\\n' "$K" "$M" "$K" "$N" | $E txn""",
            )
        )

    def create(self, first: str) -> str:
        """Write the first record, only where there is none."""
        request = f'create("{self._key}") = "0"\\n\\nput {self._key} %s\\n\\n\\n'
        return f"""printf '{request}' '{json.dumps(first)}' | {self._etcdctl} txn"""

    def gates(self, names: tuple[str, ...], line: str) -> str:
        """Send one line to every gate of the app's processes at the sites, and show their answers."""
        sockets = [gate_socket(service.name) for service in self._fleet.app.services if service.gate]
        paths = " ".join(f"{self.host(name)}/{socket}" for name in names for socket in sockets)
        return f"for s in {paths}; do python3 -c \"{_SAY}\" $s '{line}'; done"

    def hold(self, names: tuple[str, ...], *, primary: str, epoch: int) -> str:
        """Close every gate at the sites: of the app's processes, or of the edge for an app that has none."""
        if self._fleet.app.promise is AppClass.G3:
            return self._edges(names, "; ".join(f"set maxconn frontend {one} 0" for one in LISTENERS))
        line = f'{{"state":"hold","primary":"{primary}","epoch":{epoch},"fresh_until":0,"wait_s":1.0}}'
        return self.gates(names, line)

    def held(self, names: tuple[str, ...]) -> str:
        """Ask every gate at the sites what it is now."""
        if self._fleet.app.promise is AppClass.G3:
            return self._edges(names, "show stat inner 1 -1") + "  # its limit (slim) is 0"
        return self.gates(names, '{"ask":true}')

    def hold_slow(self, names: tuple[str, ...]) -> str:
        """Let no slow request pass the edges any more. The agents are frozen first, or they would take it back; so
        the instant until which they vouched for what the edges serve is put off for ever."""
        vouched = "experimental-mode on; set var proc.fresh int(99999999999999)"
        return "\n".join((self.freeze(names), self._edges(names, f"{vouched}; set maxconn frontend inner-slow 0")))

    def _edges(self, names: tuple[str, ...], command: str) -> str:
        paths = " ".join(f"{self.host(name)}/{STATS_SOCKET}" for name in names)
        return f"for s in {paths}; do python3 -c \"{_SAY_ALL}\" $s '{command}'; done"

    def freeze(self, names: tuple[str, ...]) -> str:
        """Keep the agents of the sites from acting; what they started goes on."""
        return "; ".join(self._agent(name, "STOP", "stop") for name in names)

    def thaw(self, names: tuple[str, ...]) -> str:
        """Let the agents act again: they do what the record says."""
        return "; ".join(self._agent(name, "CONT", "start") for name in names)

    def stop_database(self, name: str) -> str:
        """A fast stop, which ships everything first and takes its pid file away last. PGBIN keeps the folder of its
        programs for the check."""
        data = f"{self.host(name)}/postgres"
        return (
            f"P=$(head -1 {data}/postmaster.pid); PGBIN=$(dirname $(readlink /proc/$P/exe)); "
            f"kill -INT $P; while [ -e {data}/postmaster.pid ]; do sleep 0.1; done"
        )

    def stop_shipper(self, name: str) -> str:
        """End the WAL shipper beside a frozen agent, which cannot start another one."""
        if self._fleet.site(name).kind == _LOCAL:
            return f"kill $(cat {self.host(name)}/{SHIPPER_PID})"
        return "# nothing: it has ended with its agent"

    def controldata(self, name: str) -> str:
        """The control file of a stopped PostgreSQL: ``shut down`` and the latest checkpoint's location."""
        return f"$PGBIN/pg_controldata {self.host(name)}/postgres | grep -E 'cluster state|checkpoint location'"

    def dig(self, name: str) -> str:
        """Ask the site's authoritative server itself, never a resolver."""
        site = self._fleet.site(name)
        asked = f"{public_name(self._fleet)} A {primary_name(self._fleet)} A"
        return f"dig +short +norecurse @{site.address} -p {site.ports.dns} {asked}"

    def dns(self, name: str, wanted: dict[str, tuple[str, ...]]) -> str:
        """Set the names at one provider: through its server's API where it is ours, else as it offers it."""
        site = self._fleet.site(name)
        shown = "; ".join(f"A {host} = {', '.join(addresses)}" for host, addresses in wanted.items())
        if site.kind != _LOCAL:
            return f"# at the DNS of {site.provider}: {shown}; TTL {self._fleet.dns.ttl_s}"
        sets = [
            {
                "name": f"{host}.",
                "type": "A",
                "ttl": self._fleet.dns.ttl_s,
                "changetype": "REPLACE",
                "records": [{"content": address, "disabled": False} for address in addresses],
            }
            for host, addresses in wanted.items()
        ]
        return (
            f'curl -sf -X PATCH -H "X-API-Key: $(cat {TRUST}/dns_api_key.{name})" '
            f"http://{site.address}:{site.ports.dns_api}/api/v1/servers/localhost/zones/{self._fleet.dns.zone}. "
            f"-d '{json.dumps({'rrsets': sets})}'"
        )

    def edge(self, name: str) -> str:
        """Ask the site's edge as a client would."""
        site = self._fleet.site(name)
        paths = [service.health for service in self._fleet.app.services if service.port]
        path = paths[0] if paths else "/"
        return f"curl -s -o /dev/null -w '%{{http_code}}\\n' http://{site.address}:{site.ports.edge}{path}"

    def migrate(self, name: str) -> str:
        """The app's own migrations, with what its agent would give them."""
        files = f"APP_SITE={name} APP_DATABASES_FILE={self.host(name)}/run/databases.json"
        return f"{files} {' '.join(self._fleet.app.migrate)}"

    def pulumi(self, name: str, verb: str) -> str:
        """Pulumi itself. CHECKOUT is the folder that holds Pulumi.yaml."""
        state = "$PWD/.failover"
        return (
            f"PULUMI_BACKEND_URL=file://{state}/pulumi/backend "
            f"PULUMI_CONFIG_PASSPHRASE_FILE={state}/trust/pulumi_passphrase pulumi -C $CHECKOUT {verb} "
            f"--stack {name} --config-file {state}/pulumi/project/Pulumi.{name}.yaml"
        )

    def host(self, name: str) -> str:
        """The folder of the site's host: below the state folder for a local site, else on its own machine."""
        return f".failover/sites/{name}" if self._fleet.site(name).kind == _LOCAL else "/var/lib/failover"

    @property
    def _etcdctl(self) -> str:
        endpoints = ",".join(record_endpoints(self._fleet)) or "(no etcd in this fleet)"
        return f"etcdctl --endpoints={endpoints} {_TLS}"

    @property
    def _key(self) -> str:
        return f"/failover/{self._fleet.name}/record"

    def _agent(self, name: str, signal: str, verb: str) -> str:
        if self._fleet.site(name).kind == _LOCAL:
            return f"kill -{signal} $(cat {self.host(name)}/run/agent.lock)"
        return f"ssh {self._fleet.site(name).address} systemctl {verb} failover-agent"
