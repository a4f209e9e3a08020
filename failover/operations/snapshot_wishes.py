"""From what the databases and the stores say to the plan of ``snapshot create`` and ``snapshot prune``. Only looks."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from failover.data.databases import timelines
from failover.errors import FailoverError
from failover.model.observation import FleetSeen
from failover.model.plan import Plan, Refusal
from failover.model.units import parse_lsn
from failover.operations.snapshot_shelf import Shelf, held_of, orphans_of, rules, shelf, taken_of
from failover.operations.wired import Wired
from failover.planner.preflight import answers
from failover.planner.snapshot import Bucket, Source, choose
from failover.planner.snapshot_plan import Behind, Kept, create_plan, prune_plan
from failover.planner.status import lag_bytes
from failover.ports.snapshot_source import SourceFacts
from failover.ports.store import Store
from failover.trust.age import check_recipients

_PROBE_S = 10.0
_READABLE = ("primary", "standby")


class CreateWish:
    """Take a snapshot now; ``full``: not on top of an earlier one."""

    verb = "snapshot create"

    def __init__(self, *, full: bool = False) -> None:
        self.full = full


class PruneWish:
    """Remove what the rules of the fleet file do not keep."""

    verb = "snapshot prune"


SnapshotWish = CreateWish | PruneWish


def decide_snapshot(wired: Wired, wish: SnapshotWish, seen: FleetSeen) -> Plan | Refusal:
    """The plan for ``wish`` from what was seen."""
    found = rules(wired)
    check_recipients(found.recipients)
    if isinstance(wish, PruneWish):
        return _prune(wired, seen)
    sources = sources_of(wired, seen)
    identifier = next((each.system_identifier for each in sources if each.system_identifier), "")
    buckets, held = asyncio.run(_stores_now(wired))
    catalog = held.catalogs.get(identifier) if held is not None else None
    choice = choose(
        sources=sources,
        buckets=buckets,
        taken=taken_of(catalog) if catalog is not None else (),
        now=datetime.now(UTC),
        full=wish.full,
        recipients=found.recipients,
    )
    if isinstance(choice, Refusal):
        return choice
    newest = catalog.entries[-1].manifest.id if catalog is not None and catalog.entries else ""
    return create_plan(choice, _behind(held, choice.stores) if held is not None else (), newest=newest)


def sources_of(wired: Wired, seen: FleetSeen) -> list[Source]:
    """Every data site, its database asked directly and side by side."""
    primary = seen.record.primary_site if seen.record is not None else ""
    sites = [site.name for site in wired.fleet.data_sites]
    states = {name: answers(seen, name) for name in sites}
    asked = [name for name in sites if (state := states[name]) is not None and state.database.state in _READABLE]
    with ThreadPoolExecutor(max_workers=max(1, len(asked)), thread_name_prefix="sources") as pool:
        facts = dict(zip(asked, pool.map(lambda name: _facts(wired, name), asked), strict=True))
    lists = tuple(path.name for path in lists_dir(wired).iterdir()) if lists_dir(wired).is_dir() else ()
    found = []
    for name in sites:
        state, fact = states[name], facts.get(name)
        is_primary = name == primary if primary else state is not None and state.database.state == "primary"
        found.append(
            Source(
                site=name,
                provider=wired.fleet.site(name).provider,
                primary=is_primary,
                reachable=fact is not None,
                streaming=state is not None and state.database.streaming,
                lag_bytes=lag_bytes(seen, name) or 0,
                timeline=fact.timeline if fact is not None else 0,
                system_identifier=fact.system_identifier if fact is not None else "",
                summaries_from=fact.summaries_from if fact is not None else None,
                lists=lists,
            )
        )
    return found


def lists_dir(wired: Wired) -> Path:
    """File lists of the backups taken from here, by snapshot: what an incremental is taken against."""
    return wired.snapshots_dir / "lists"


def _facts(wired: Wired, site: str) -> SourceFacts | None:
    try:
        return wired.source(site, "").facts()
    except FailoverError:
        return None  # the planner says that it cannot be read


async def _stores_now(wired: Wired) -> tuple[list[Bucket], Shelf | None]:
    """Whether each store takes a byte, and what those that do hold. ``None``: none of them answers."""
    buckets = list(await asyncio.gather(*(_probe(store, wired.fleet.name) for store in wired.stores)))
    alive = [store for store, bucket in zip(wired.stores, buckets, strict=True) if bucket.reachable]
    return buckets, await shelf(wired, alive) if alive else None


async def _probe(store: Store, fleet: str) -> Bucket:
    """A store that is full or takes no writes would be found out after the whole backup went to the other one."""
    key = f"{fleet}/probe-{secrets.token_hex(4)}"
    try:
        await store.put(key, b"may I?\n", deadline_s=_PROBE_S)
        await store.delete(key, deadline_s=_PROBE_S)
    except FailoverError as error:
        return Bucket(name=store.name, provider=store.traits.provider, reachable=False, error=str(error))
    return Bucket(name=store.name, provider=store.traits.provider, reachable=True)


def _behind(held: Shelf, stores: tuple[str, ...]) -> list[Behind]:
    entries = [entry for catalog in held.catalogs.values() for entry in catalog.entries]
    return [
        Behind(snapshot=entry.manifest.id, store=store)
        for entry in entries
        for store in stores
        if entry.stores and store not in entry.stores and not entry.removing
    ]


def _prune(wired: Wired, seen: FleetSeen) -> Plan | Refusal:
    found, oldest = asyncio.run(_for_prune(wired, seen))
    identifier, held = found
    catalog = held.catalogs.get(identifier)
    entries = catalog.entries if catalog is not None else ()
    return prune_plan(
        held_of(catalog) if catalog is not None else (),
        orphans_of(catalog) if catalog is not None else (),
        policy=rules(wired).keep,
        now=datetime.now(UTC),
        stores=[store.name for store in wired.stores],
        system_identifier=identifier,
        unreachable=held.unreachable,
        damaged=catalog.damaged if catalog is not None else (),
        begins=[
            Kept(id=entry.manifest.id, timeline=entry.manifest.timeline, start_lsn=parse_lsn(entry.manifest.start_lsn))
            for entry in entries
        ],
        oldest_timeline=oldest,
    )


async def _for_prune(wired: Wired, seen: FleetSeen) -> tuple[tuple[str, Shelf], int]:
    """The fleet's own database, else the one with the newest snapshot; and the oldest timeline with shipped WAL."""
    held = await shelf(wired)
    live = next((s.state.database.system_identifier for s in seen.sites if s.state and s.state.database.member), "")
    identifier = live or held.newest_database()
    shipped = await timelines(wired.stores, wired.fleet.name, identifier) if identifier else ()
    return (identifier, held), min(shipped, default=0)

