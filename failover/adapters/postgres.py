"""The PostgreSQL of one host as its keeper handles it: ``ports.database.Database`` over files, server, SQL and seeds.

Only programs of PostgreSQL itself touch the data directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from failover.adapters import postgres_config as texts
from failover.adapters.postgres_evidence import PostgresEvidence
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.postgres_seed import PostgresSeed
from failover.adapters.postgres_server import PostgresServer, boot_s
from failover.adapters.postgres_sql import KeeperSession, Seen
from failover.adapters.postgres_wal import end_of_record, end_of_wal
from failover.errors import Unreachable
from failover.model.certificate import Certificate
from failover.model.observation import DatabaseFacts
from failover.model.record import AcceptedLoss, Timeline
from failover.model.units import Lsn, MemberId, format_lsn, parse_lsn, segment_name
from failover.ports.database import Upstream
from failover.ports.processes import Handle, Processes

_PROMOTE_S = 20.0
_CHECKPOINT_BYTES = 512
"""More than a shutdown checkpoint's record; whoever goes back in time by less has lost nothing but that."""


class LocalPostgres:
    """One data directory and the server on it."""

    def __init__(self, files: PostgresFiles, processes: Processes) -> None:
        self._files = files
        self._server = PostgresServer(files, processes)
        self._seed = PostgresSeed(files, self._server)
        self._evidence = PostgresEvidence(files, self._server)
        self._session = KeeperSession(address=files.address, port=files.spec.port, passfile=str(files.passfile))
        self._names: tuple[str, ...] = ()
        self._proven: tuple[tuple[str, ...], Handle] | None = None
        self._upstream: Upstream | None = None
        self._control: tuple[int, dict[str, str]] = (0, {})
        self._forks: dict[int, Lsn] = {}
        self._stopped_end: tuple[int, Lsn] = (0, 0)
        self._timeline = 0  # as the last look saw it; a promotion is decided on that same look
        files.write_fixed()

    # --- facts -----------------------------------------------------------------------------------------------------

    async def facts(self) -> DatabaseFacts:
        """See the port."""
        if not self._files.exists:
            return DatabaseFacts(state="absent")
        handle = self._server.handle()
        if handle is None:
            return await self._stopped_facts()
        try:
            seen = await self._session.facts()
        except Unreachable:
            return DatabaseFacts(state="starting", member=self._files.member)
        return self._running_facts(seen, handle)

    def _running_facts(self, seen: Seen, handle: Handle) -> DatabaseFacts:
        self._adopt_settings(seen)
        self._timeline = seen.timeline
        proven = self._proven[0] if self._proven is not None and self._proven[1] == handle else None
        return DatabaseFacts(
            state="standby" if seen.recovering else "primary",
            member=self._files.member,
            system_identifier=seen.system_identifier,
            timeline=seen.timeline,
            fork_lsn=0 if seen.recovering else self._fork_of(seen.timeline),
            position=seen.position,
            replayed=seen.replayed,
            flushed=min((replica.flush_lsn for replica in seen.replicas), default=0),
            upstream=self._upstream.site if self._upstream else "",
            streaming=seen.streaming,
            names=self._names,
            names_proven=proven,
            replicas=seen.replicas,
            open_writes=seen.open_writes,
        )

    def _adopt_settings(self, seen: Seen) -> None:
        """A new agent beside a running server learns its names and upstream from the server itself."""
        inner = seen.names.partition("(")[2].rpartition(")")[0]
        self._names = tuple(name.strip() for name in inner.split(",") if name.strip())
        pairs = dict(part.split("=", 1) for part in seen.conninfo.split() if "=" in part)
        place = (pairs.get("host", ""), int(pairs.get("port", self._files.spec.port)))
        self._upstream = self._files.peer_at(*place) if place[0] else None

    def _fork_of(self, timeline: int) -> Lsn:
        if timeline not in self._forks:
            path = self._files.data / "pg_wal" / f"{timeline:08X}.history"
            lines = [line.split("\t") for line in path.read_text().splitlines() if line] if path.exists() else []
            self._forks[timeline] = parse_lsn(lines[-1][1]) if lines else 0
        return self._forks[timeline]

    async def _stopped_facts(self) -> DatabaseFacts:
        values, position = await self._control_values(), await self._stopped_position()
        state = values.get("Database cluster state", "")
        checkpoint = parse_lsn(values.get("Latest checkpoint location", "0/0"))
        return DatabaseFacts(
            state="stopped",
            member=self._files.member,
            system_identifier=values.get("Database system identifier", ""),
            timeline=_timeline(values),
            position=position,
            names=self._names,
            # A base backup carries the control file of the primary it was taken from until its first start.
            was_primary=not (self._files.data / "backup_label").exists()
            and ("recovery" not in state or state == "in crash recovery"),
            clean_shutdown=state == "shut down"
            or (state == "shut down in recovery" and self._ends_with_its_checkpoint(values, position)),
            checkpoint_lsn=checkpoint,
        )

    def _ends_with_its_checkpoint(self, values: dict[str, str], position: Lsn) -> bool:
        """Its last record is the checkpoint that it was started from: it was shut down, then waited as a standby of one
        that had nothing for it. Anything behind that checkpoint would be missed by who asks how far it came."""
        start, size = parse_lsn(values["Latest checkpoint location"]), int(values["Bytes per WAL segment"])
        path = self._files.data / "pg_wal" / segment_name(_timeline(values), start, size)
        return path.exists() and position == end_of_record(path, start, segment_bytes=size)

    async def _control_values(self) -> dict[str, str]:
        """``pg_controldata``, read again only when the control file changed."""
        changed = (self._files.data / "global" / "pg_control").stat().st_mtime_ns
        if self._control[0] != changed:
            said = await self._server.look_at_files("pg_controldata", "-D", str(self._files.data), deadline_s=5.0)
            self._control = (changed, dict(texts.control_values(said)))
        return self._control[1]

    async def _stopped_position(self) -> Lsn:
        """Where the WAL of this stopped copy ends. Read again only when the control file changed."""
        values = await self._control_values()
        changed = self._control[0]
        if self._stopped_end[0] != changed:
            if values.get("Database cluster state") == "shut down":
                # The shutdown checkpoint is its last record; no program is started for it in the middle of a move.
                end = parse_lsn(values["Latest checkpoint location"]) + _CHECKPOINT_BYTES
            else:
                wal, size = self._files.data / "pg_wal", int(values["Bytes per WAL segment"])
                end = await end_of_wal(self._server, wal, segment_bytes=size)
            self._stopped_end = (changed, end)
        return self._stopped_end[1]

    # --- life ------------------------------------------------------------------------------------------------------

    async def create(self, member: MemberId) -> None:
        """See the port."""
        await self._seed.create(member)

    async def start_primary(self, names: Sequence[str]) -> None:
        """See the port."""
        self._names, self._upstream = tuple(names), None
        self._write_config()
        (self._files.data / "standby.signal").unlink(missing_ok=True)
        try:
            await self._server.start()
        finally:
            self._files.signal_standby(self._files.data)

    async def start_standby(self, upstream: Upstream | None, names: Sequence[str]) -> None:
        """See the port."""
        self._names, self._upstream = tuple(names), upstream
        self._write_config()
        self._files.signal_standby(self._files.data)
        await self._server.start()

    async def stop(self, *, clean: bool, budget_s: float) -> bool:
        """See the port."""
        self._proven = None
        await self._session.close()
        return await self._server.stop(clean=clean, budget_s=budget_s)

    # --- changes while it runs -------------------------------------------------------------------------------------

    async def set_names(self, names: Sequence[str]) -> None:
        """See the port."""
        self._names, self._proven = tuple(names), None
        self._write_config()
        self._server.reload()

    async def apply_settings(self) -> tuple[str, ...]:
        """See the port."""
        self._adopt_settings(await self._session.facts())
        if self._write_config():
            self._server.reload()
            await asyncio.sleep(0.2)  # the reload is a signal; what waits for a restart shows only after it
        rows = await self._session.rows("select name from pg_settings where pending_restart order by 1")
        return tuple(str(row[0]) for row in rows)

    async def follow(self, upstream: Upstream) -> None:
        """See the port."""
        self._upstream = upstream
        self._write_config()
        self._server.reload()

    async def prove_names(self, names: Sequence[str]) -> Lsn:
        """See the port."""
        handle = self._server.handle()
        position = await self._session.prove_names(names)
        if handle is None or self._server.handle() != handle:
            raise Unreachable("PostgreSQL was restarted while its names were being proven")
        self._proven = (tuple(names), handle)
        return position

    async def promote(self, timelines: Sequence[Timeline]) -> None:
        """See the port."""
        if any(line.tli > self._timeline for line in timelines[:-1]):
            await self._restart_on_current(timelines[:-1])
        await self._session.promote()
        end = boot_s() + _PROMOTE_S
        while await self._session.recovering():
            if boot_s() > end:
                raise Unreachable("the promotion does not end", hint=f"its own words are in {self._files.log}")
            await asyncio.sleep(0.004)
        self._upstream = None
        self._files.signal_standby(self._files.data)
        self._write_config()

    async def _restart_on_current(self, parents: Sequence[Timeline]) -> None:
        """This copy never followed the newest timeline: it must know of it, or it would give its number twice (C5)."""
        await self.stop(clean=True, budget_s=5.0)
        for index, line in enumerate(parents):
            path = self._files.data / "pg_wal" / f"{line.tli:08X}.history"
            if line.tli > 1 and not path.exists():
                before = [(old.tli, format_lsn(parents[i + 1].fork_lsn)) for i, old in enumerate(parents[:index])]
                path.write_text(texts.history_file(before))
        self._upstream = None
        self._write_config("current")
        self._files.signal_standby(self._files.data)
        await self._server.start()

    def _write_config(self, timeline: str = "latest") -> bool:
        return self._files.write_config(names=self._names, upstream=self._upstream, timeline=timeline)

    # --- a copy made anew ------------------------------------------------------------------------------------------

    async def seed(self, upstream: Upstream, member: MemberId) -> None:
        """See the port."""
        await self._seed.backup(upstream, member)

    async def save_evidence(self, fork_lsn: Lsn, accepted: AcceptedLoss | None) -> Certificate:
        """See the port."""
        if self._server.handle() is not None:
            raise Unreachable("PostgreSQL runs: its WAL is not at its end")
        values = await self._control_values()
        return await self._evidence.save(
            fork_lsn,
            system_identifier=values["Database system identifier"],
            timeline=_timeline(values),
            segment_bytes=int(values["Bytes per WAL segment"]),
            accepted=accepted,
        )

    def certificates(self) -> tuple[Certificate, ...]:
        """See the port."""
        return self._evidence.all()

    async def rewind(self, upstream: Upstream, member: MemberId) -> bool:
        """See the port."""
        return await self._seed.rewind(upstream, member)

    async def rename(self, member: MemberId) -> None:
        """See the port."""
        self._files.put_member(member)

    async def discard(self) -> None:
        """See the port."""
        await self._seed.discard()

    # --- what the session does -------------------------------------------------------------------------------------

    async def heartbeat(self) -> Lsn:
        """See the port."""
        return await self._session.heartbeat()

    async def hasten(self, seconds: float) -> None:
        """See the port."""
        self._server.hasten(seconds)

    async def received(self) -> Lsn:
        """See the port."""
        return await self._session.received()

    async def ensure_slots(self, members: Sequence[str]) -> None:
        """See the port."""
        await self._session.ensure_slots(members)

    async def checkpoint(self) -> None:
        """See the port."""
        await self._session.rows("CHECKPOINT", deadline_s=30.0)

    async def end_strangers(self, members: Sequence[str]) -> None:
        """See the port."""
        await self._session.end_strangers(members)

    async def end_writers(self) -> tuple[str, ...]:
        """See the port."""
        return await self._session.end_writers()


def _timeline(values: dict[str, str]) -> int:
    """After a promotion the checkpoint still names the old timeline until the next one."""
    named = ("Latest checkpoint's TimeLineID", "Min recovery ending loc's timeline")
    return max(int(values.get(name, "0")) for name in named)
