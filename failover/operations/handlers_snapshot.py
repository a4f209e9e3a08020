"""Handlers of snapshots: take one, give a store what it lacks, remove.

A run that was killed leaves objects without a manifest (an orphan, removed after a day) or a manifest that fewer than
two providers have; resuming it completes the second by copying and begins anew after the first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar, cast

from failover.data.backup import Order, Outcome, Writer, create
from failover.data.catalog import Entry
from failover.data.copies import catch_up
from failover.data.databases import timelines
from failover.data.remove import left, old_chunks, remove, remove_keys
from failover.engine.handler import Context, Looked, See
from failover.errors import FailoverError, Interrupted, ProviderRefuses, Unreachable
from failover.model.plan import CopySnapshot, RemoveSnapshot, RemoveWal, TakeSnapshot
from failover.model.snapshot import QUORUM, Kind, created
from failover.model.units import Lsn, format_bytes
from failover.operations.pace import Pace
from failover.operations.session import Session
from failover.operations.snapshot_shelf import Shelf, read_shelf, rules, seal_key
from failover.operations.snapshot_wishes import lists_dir
from failover.operations.wired import Wired
from failover.ports.store import Store

_T = TypeVar("_T")
_HALT_POLL_S = 0.2
_AGAIN = "failover snapshot create"
_EVERYTHING: Lsn = 1 << 64


class TakeSnapshotHandler:
    """One snapshot. It is there when two providers' stores have the manifest that names this run."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: TakeSnapshot, context: Context) -> Looked:
        """See above."""
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE)
        entry = read_shelf(self._session.wired).of_run(context.run)
        if entry is None:
            return Looked(see=See.NOT_DONE, detail="no store has its manifest")
        size = format_bytes(entry.manifest.total_bytes)
        detail = f"{entry.manifest.id}: {size} in {', '.join(entry.stores) or 'no store'}"
        return Looked(see=See.DONE if len(entry.providers) >= QUORUM else See.NOT_DONE, detail=detail)

    def perform(self, action: TakeSnapshot, context: Context) -> str:
        """Stream it. Nothing is tried again here: hours of work are not repeated without being asked for."""
        wired = self._session.wired
        started = self._begun(context)
        if started is not None:
            return _copied(wired, started, action.stores, context)
        primary = self._primary(context)
        source = wired.source(action.site, primary if primary != action.site else "")
        order = Order(
            kind=cast(Kind, action.kind),
            parent=action.parent,
            parent_list=_file_list(wired, action.parent),
            site=action.site,
            why=action.reasons,
            now=_later_than(action.newest),
            run=context.run,
        )
        writer = Writer(
            fleet=wired.fleet.name,
            recipients=rules(wired).recipients,
            seal=seal_key(wired),
            stores=_named(wired, action.stores),
        )
        try:
            # How much of an incremental has changed is known only once it is there.
            size = source.facts().size_bytes if action.kind == "full" else 0
            pace = Pace(context.step.title, size or None, self._session.flow)
            work = create(source, order, writer, progress=pace.at, clock=lambda: datetime.now(UTC))
            outcome = until_halt(work, context)
        except Unreachable as error:
            raise ProviderRefuses(error.message, where=error.where, hint=error.hint or _AGAIN) from error
        pace.end()
        _keep_list(wired, outcome)
        if not outcome.counts:
            said = "; ".join(f"{name}: {why}" for name, why in outcome.failed.items())
            have = ", ".join(outcome.stores) or "no store"
            raise ProviderRefuses(f"only {have} has the whole of {outcome.manifest.id}: {said}", hint=_AGAIN)
        for name, why in outcome.failed.items():
            context.note(f"{name} does not have {outcome.manifest.id} and is caught up later: {why}")
        behind = f"; not {', '.join(outcome.failed)}: caught up later" if outcome.failed else ""
        return f"{format_bytes(outcome.manifest.total_bytes)} each{behind}"

    def _begun(self, context: Context) -> Entry | None:
        """What an earlier life of this run has finished at one store."""
        return read_shelf(self._session.wired).of_run(context.run) if self._session.resumed else None

    def _primary(self, context: Context) -> str:
        try:
            record = self._session.read_record(context)
        except Unreachable:
            return ""  # then the standby is backed up as it is
        return record.primary_site if record is not None else ""


class CopySnapshotHandler:
    """What a store missed, from the others; compared by sha256 on its way."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: CopySnapshot, context: Context) -> Looked:
        """Has it whole?"""
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE)
        entry = _entry(read_shelf(self._session.wired), action.snapshot)
        done = entry is not None and action.store in entry.stores
        return Looked(see=See.DONE if done else See.NOT_DONE, detail=f"{action.store} has it whole" if done else "")

    def perform(self, action: CopySnapshot, context: Context) -> str:
        """Copy."""
        wired = self._session.wired
        entry = _entry(read_shelf(wired), action.snapshot)
        if entry is None:
            raise ProviderRefuses(f"{action.snapshot} is in no store that answers", hint="failover snapshot list")
        return _copied(wired, entry, (action.store,), context)


class RemoveSnapshotHandler:
    """Every object of one snapshot, out of every store."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: RemoveSnapshot, context: Context) -> Looked:
        """Anything left?"""
        wired = self._session.wired
        stores = _named(wired, action.stores)
        found = asyncio.run(left(stores, wired.fleet.name, action.system_identifier, action.snapshot))
        if not found:
            return Looked(see=See.DONE, detail=f"nothing of it is left in {', '.join(action.stores)}")
        return Looked(see=See.NOT_DONE, detail=f"{', '.join(found)} still has some of it")

    def perform(self, action: RemoveSnapshot, context: Context) -> str:
        """Mark, then empty."""
        wired = self._session.wired
        stores = _named(wired, action.stores)
        work = remove(stores, wired.fleet.name, action.system_identifier, action.snapshot)
        count = until_halt(work, context)
        (lists_dir(wired) / action.snapshot).unlink(missing_ok=True)
        return f"{count} objects"


class RemoveWalHandler:
    """Shipped WAL that leads nowhere."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: RemoveWal, context: Context) -> Looked:
        """Any of it left?"""
        count = sum(len(keys) for keys in asyncio.run(self._old(action)).values())
        return Looked(see=See.NOT_DONE if count else See.DONE, detail=f"{count} objects are left")

    def perform(self, action: RemoveWal, context: Context) -> str:
        """Delete it."""

        async def work() -> int:
            return await remove_keys(self._session.wired.stores, await self._old(action))

        return f"{until_halt(work(), context)} objects"

    async def _old(self, action: RemoveWal) -> dict[str, list[str]]:
        wired = self._session.wired
        found: dict[str, list[str]] = {}
        for timeline in await timelines(wired.stores, wired.fleet.name, action.system_identifier):
            if timeline > action.timeline:
                continue
            before = action.before if timeline == action.timeline else _EVERYTHING
            keys = await old_chunks(wired.stores, wired.fleet.name, action.system_identifier, timeline, before)
            for store, listed in keys.items():
                found.setdefault(store, []).extend(listed)
        return found


def until_halt(work: Coroutine[Any, Any, _T], context: Context) -> _T:
    """``work`` to its end. Raises ``Interrupted`` when the run should come to rest: it was given up then."""

    async def main() -> _T:
        task = asyncio.ensure_future(work)
        while not (await asyncio.wait({task}, timeout=_HALT_POLL_S))[0]:
            if context.halting():
                task.cancel()
        try:
            return task.result()
        except asyncio.CancelledError:
            raise Interrupted("given up in the middle; nothing of it counts", hint=_AGAIN) from None

    return asyncio.run(main())


def _copied(wired: Wired, entry: Entry, targets: tuple[str, ...], context: Context) -> str:
    """Raises the first error, after every target was tried."""
    stores = {store.name: store for store in wired.stores if store.name in (*targets, *entry.stores)}
    answers = until_halt(catch_up(entry, stores), context)
    failed: dict[str, FailoverError] = {name: error for name, error in answers.items() if error is not None}
    if failed:
        raise next(iter(failed.values()))
    return f"copied to {', '.join(answers) or 'nobody'}"


def _entry(shelf: Shelf, snapshot: str) -> Entry | None:
    catalog = shelf.catalogs.get(shelf.holder(snapshot))
    return catalog.entry(snapshot) if catalog is not None else None


def _named(wired: Wired, names: tuple[str, ...]) -> tuple[Store, ...]:
    return tuple(store for store in wired.stores if store.name in names)


def _later_than(newest: str) -> datetime:
    now = datetime.now(UTC)
    return max(now, created(newest) + timedelta(seconds=1)) if newest else now


def _file_list(wired: Wired, parent: str) -> bytes:
    return (lists_dir(wired) / parent).read_bytes() if parent else b""


def _keep_list(wired: Wired, outcome: Outcome) -> None:
    folder = lists_dir(wired)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / outcome.manifest.id
    part = folder.parent / f"{outcome.manifest.id}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(outcome.file_list)
    part.replace(path)
