"""Files of one host's PostgreSQL: where they are, and writing them whole.

Everything that says *which* copy this is, whom it follows and whom it waits for lives beside the data directory, so
that no backup or rewind can carry it to another copy (safety B1, C4).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from failover.adapters import postgres_config as texts
from failover.model.spec import DatabaseSpec
from failover.ports.database import Upstream


class PostgresFiles:
    """Paths below ``host_dir``. ``peers`` are the other sites' databases, for access rules and to name upstreams."""

    def __init__(
        self, *, host_dir: Path, site: str, address: str, spec: DatabaseSpec, peers: Sequence[Upstream]
    ) -> None:
        self.host_dir = host_dir
        self.site = site
        self.address = address
        self.spec = spec
        self.peers = tuple(peers)
        self.data = host_dir / "postgres"
        self.config = host_dir / "postgresql.conf"
        self.access = host_dir / "pg_hba.conf"
        self.passfile = host_dir / "run" / "pgpass"
        self.log = host_dir / "log" / "postgres.log"
        self._member = host_dir / "member"

    @property
    def exists(self) -> bool:
        """There is a data directory."""
        return (self.data / "PG_VERSION").exists()

    @property
    def member(self) -> str:
        """The id of the copy here, or ``""``."""
        return self._member.read_text().strip() if self._member.exists() else ""

    def put_member(self, member: str) -> None:
        """Name the copy. Before its directory is touched the old name is out of the record."""
        self.write(self._member, member + "\n")

    def write(self, path: Path, text: str, *, durable: bool = True) -> None:
        """Atomically, mode 0600. Not ``durable``: what is written anew before each start need not wait for the disk."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)

    def signal_standby(self, data: Path) -> None:
        """A stray start by anybody is then read-only (safety C4)."""
        (data / "standby.signal").touch(mode=0o600)

    def write_fixed(self) -> None:
        """Access rules and passwords. What stands there already is not written again: a start in the middle of a move
        does not wait for the disk."""
        addresses = [self.address, *(peer.address for peer in self.peers)]
        rules = texts.access_rules(self.spec, addresses=addresses)
        for path, text in ((self.passfile, texts.pass_lines(self.spec)), (self.access, rules)):
            if not path.exists() or path.read_text() != text:
                self.write(path, text)

    def write_config(self, *, names: Sequence[str], upstream: Upstream | None, timeline: str) -> bool:
        """postgresql.conf as the keeper wants it now; ALTER SYSTEM is off, and what it once wrote is emptied. True:
        it was another before."""
        text = texts.server_config(
            self.spec,
            address=self.address,
            names=names,
            upstream=upstream,
            member=self.member,
            passfile=str(self.passfile),
            timeline=timeline,
        )
        changed = not self.config.exists() or self.config.read_text() != text
        if changed:
            self.write(self.config, text, durable=False)
        if self.data.exists():
            (self.data / "postgresql.auto.conf").write_text("# not used: settings come from the keeper\n")
        return changed

    def peer_at(self, address: str, port: int) -> Upstream:
        """The peer that listens there; one of no known site when it is nobody's."""
        known = (peer for peer in self.peers if (peer.address, peer.port) == (address, port))
        return next(known, Upstream(site="", address=address, port=port))
