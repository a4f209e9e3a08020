"""``media status | sync | verify``: one pass over all media, again without a store that breaks off, and what is missing
written down and signed. Nothing of the fleet is changed: copies are added, never removed (``media_pass``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from failover.data.media_listing import LaneFailed
from failover.errors import FailoverError, Unreachable, UsageError
from failover.model.fleet import Fleet
from failover.model.media import MediaReport, StoreCounts, media_prefix
from failover.operations.media_missing import MissingWriter
from failover.operations.media_pass import MediaPass, Verb
from failover.operations.wired import Wired
from failover.ports.media_index import MediaIndex
from failover.ports.store import Store

_OPEN_S = 5.0
_RECORD_S = 3.0
_PROBE_S = 10.0


class Look(msgspec.Struct, kw_only=True):
    """What one try goes by: the stores that answer, why others do not, and the app's index if it can be read."""

    stores: list[Store]
    silent: dict[str, str]
    index: MediaIndex | None
    notes: list[str]


def media(
    wired: Wired, verb: Verb, *, one_in: int = 1, seed: int = 0, now: Callable[[], datetime] | None = None
) -> MediaReport:
    """One pass. Raises ``UsageError`` without stores, ``Unreachable`` when none answers."""
    if not wired.fleet.stores:
        raise UsageError("the fleet file names no stores", hint="failover init --local --stores shows how")
    return asyncio.run(_whole(wired, verb, one_in=one_in, seed=seed, at=(now or _now)()))


async def _whole(wired: Wired, verb: Verb, *, one_in: int, seed: int, at: datetime) -> MediaReport:
    stores = wired.stores
    index = None
    if wired.fleet.media is not None and wired.fleet.media.index:
        index = wired.media_index(await asyncio.to_thread(_primary_first, wired))
    try:
        look = await _look(stores, index)
        while True:
            if not look.stores:
                said = "; ".join(f"{name}: {why}" for name, why in look.silent.items())
                raise Unreachable(f"no store answers: {said}", where=", ".join(look.silent))
            try:
                return await _one(wired, verb, look, one_in=one_in, seed=seed, at=at)
            except LaneFailed as broke:
                await _without(look, broke)
    finally:
        if index is not None:
            await index.close()
        for store in stores:
            await store.close()


async def _look(stores: Sequence[Store], index: MediaIndex | None) -> Look:
    """Who answers. The index is opened first: what it names was stored before any listing began."""
    look = Look(stores=[], silent={}, index=None, notes=[])
    if index is None:
        look.notes.append("media.index is not in the fleet file: what is in no store at all cannot be told")
    else:
        await _open(look, index)
    answers = await asyncio.gather(*(_silence(store) for store in stores))
    for store, silence in zip(stores, answers, strict=True):
        if silence is None:
            look.stores.append(store)
        else:
            look.silent[store.name] = silence
    return look


async def _open(look: Look, index: MediaIndex) -> None:
    look.index = None
    try:
        await index.open(deadline_s=_OPEN_S)
    except Unreachable as error:
        look.notes.append(f"{error}: what is in no store at all cannot be told")
    else:
        look.index = index


async def _silence(store: Store) -> str | None:
    """Why it does not answer; ``None`` when it does."""
    try:
        async with asyncio.timeout(_PROBE_S):
            await store.head("ready", deadline_s=_PROBE_S)
    except TimeoutError:
        return f"no answer in {_PROBE_S:g} s"
    except FailoverError as error:
        return str(error)
    return None


async def _without(look: Look, broke: LaneFailed) -> None:
    """The same again without the lane that broke off. The index's moment is chosen anew, before the listings."""
    if broke.lane:
        look.silent[broke.lane] = str(broke.error)
        look.stores = [store for store in look.stores if store.name != broke.lane]
        if look.index is not None:
            await look.index.close()
            await _open(look, look.index)
        return
    assert look.index is not None
    await look.index.close()
    look.index = None
    look.notes.append(f"{broke.error}: what is in no store at all cannot be told")


async def _one(wired: Wired, verb: Verb, look: Look, *, one_in: int, seed: int, at: datetime) -> MediaReport:
    began = time.monotonic()
    report = MediaReport(
        verb=verb,
        at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        stores=_counts(wired.fleet, look),
        index_site=look.index.site if look.index is not None else "",
        notes=list(look.notes),
    )
    chance = random.Random(seed)
    with MissingWriter(wired.state_dir / "media", at) as missing:
        await MediaPass(
            verb,
            look.stores,
            look.index,
            report,
            prefix=media_prefix(wired.fleet.name),
            missing=missing.add,
            picked=lambda _: one_in == 1 or chance.randrange(one_in) == 0,
        ).run()
        if look.index is not None and (look.silent or missing.objects):
            report.missing_list = str(missing.seal(wired, report, silent=tuple(look.silent)))
    report.seconds = round(time.monotonic() - began, 3)
    return report


def _counts(fleet: Fleet, look: Look) -> list[StoreCounts]:
    return [
        StoreCounts(store=place.name, provider=place.provider, error=look.silent.get(place.name, ""))
        for place in fleet.stores
    ]


def _primary_first(wired: Wired) -> list[str]:
    """The data sites in the order in which their databases are believed. Without a record: as the fleet file has it."""
    names = [site.name for site in wired.fleet.data_sites]
    try:
        record = wired.record.read(deadline_s=_RECORD_S)
    except FailoverError:
        return names  # whoever answers then is told as index_site
    primary = record.primary_site if record is not None else ""
    return sorted(names, key=lambda name: name != primary)


def _now() -> datetime:
    return datetime.now(UTC)
