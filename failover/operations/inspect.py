"""Looks at the fleet, at all of it at once, within a second or so. Never writes, never waits for the slowest site.

What must never be here: a judgement. What did not answer is reported as not answered, with the reason.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from failover.errors import FailoverError
from failover.model import observation
from failover.model import record as record_values
from failover.model.observation import AgentState, FleetSeen, SiteSeen
from failover.model.ready import ready
from failover.model.record import Record
from failover.model.status import NamesSeen, StoreSeen
from failover.model.units import site_of
from failover.operations.wired import Wired
from failover.planner.dns import primary_name, public_name
from failover.planner.hostspec import host_spec
from failover.planner.names import gone_sites

LOOK_S = 1.0
_WITNESS_S = 0.3

ready(observation, record_values)


def look(wired: Wired, *, deadline_s: float = LOOK_S) -> FleetSeen:
    """Every agent and the record, side by side. Raises nothing for what does not answer.

    Witnesses are asked a moment earlier: a site that one of them finds down is not called at all. On the worst day
    nothing of ours should wait for, or need, the provider that is gone; its return is the probers' business.
    """
    hosts, store = wired.hosts, wired.record
    pool = ThreadPoolExecutor(max_workers=len(wired.fleet.sites) + 1, thread_name_prefix="look")
    began_s = _boottime_s()
    record_asked = pool.submit(store.read, deadline_s=deadline_s)
    asked: dict[str, Future[AgentState]] = {}
    for site in wired.fleet.witnesses:
        asked[site.name] = pool.submit(hosts.state, site.name, deadline_s=deadline_s)
    first: list[Future[Any]] = [record_asked, *asked.values()]
    wait(first, timeout=_WITNESS_S)
    down = {site: said for site, said in _found_down(asked).items() if site not in _quarantined(record_asked)}
    for site in wired.fleet.sites:
        if site.name not in asked and site.name not in down:
            asked[site.name] = pool.submit(hosts.state, site.name, deadline_s=deadline_s)
    everything: list[Future[Any]] = [record_asked, *asked.values()]
    wait(everything, timeout=deadline_s + 0.5)
    # A part that overruns its own deadline is left behind, not waited for.
    pool.shutdown(wait=False, cancel_futures=True)
    sites = tuple(
        SiteSeen(site=site.name, state=None, error=f"not asked: {down[site.name]} finds it down", seen_s_ago=None)
        if site.name in down
        else _site(site.name, asked[site.name], began_s)
        for site in wired.fleet.sites
    )
    record, error = _record(record_asked)
    return FleetSeen(sites=sites, record=record, record_error=error, at_unix_s=time.time())


def _found_down(asked: dict[str, Future[AgentState]]) -> dict[str, str]:
    """Site -> the witness that finds it down, of those that have answered."""
    found: dict[str, str] = {}
    for witness, future in asked.items():
        if future.done() and future.exception() is None:
            found |= {probe.site: witness for probe in future.result().probes if probe.verdict == "down"}
    return found


def _quarantined(asked: Future[Record | None]) -> set[str]:
    """Sites whose copy is kept stopped: a witness that asks for their database finds them down for as long as that
    lasts, and only their agents can say that they are back."""
    record = asked.result() if asked.done() and asked.exception() is None else None
    losses = record.accepted if record is not None else ()
    return {site_of(loss.source) for loss in losses if not loss.released_by}


def names(wired: Wired, seen: FleetSeen | None = None, *, deadline_s: float = LOOK_S) -> tuple[NamesSeen, ...]:
    """What each DNS provider's server answers for our two names, asked directly and side by side.

    A provider that ``seen`` shows to be gone is not called."""
    gone = gone_sites(wired.fleet, seen) if seen is not None else ()
    sites = [site.name for site in wired.fleet.dns_sites if site.name not in gone]
    if not sites:
        return ()
    wanted = (public_name(wired.fleet), primary_name(wired.fleet))
    dns = wired.dns
    with ThreadPoolExecutor(max_workers=len(sites), thread_name_prefix="names") as pool:
        asked = {site: pool.submit(dns.served, site, wanted, deadline_s=deadline_s) for site in sites}
    found: list[NamesSeen] = []
    for site, future in asked.items():
        try:
            found.append(NamesSeen(site=site, answers=future.result()))
        except FailoverError as error:
            found.append(NamesSeen(site=site, answers=None, error=str(error)))
    return tuple(found)


def stores(wired: Wired, seen: FleetSeen, *, deadline_s: float = LOOK_S) -> tuple[StoreSeen, ...]:
    """Which object stores answer, asked side by side. One at a site that ``seen`` shows to be gone is not called."""
    places = wired.fleet.stores
    if not places:
        return ()
    gone = gone_sites(wired.fleet, seen)
    store_look = wired.store_look
    with ThreadPoolExecutor(max_workers=len(places), thread_name_prefix="stores") as pool:
        asked = {
            place.name: pool.submit(store_look.silence, place, deadline_s=deadline_s)
            for place in places
            if place.site not in gone
        }
    return tuple(
        StoreSeen(
            store=place.name,
            error=asked[place.name].result() if place.name in asked else f"not asked: {place.site} is gone",
        )
        for place in places
    )


def wanted_specs(wired: Wired) -> dict[str, str]:
    """Digest of the HostSpec the fleet file asks for, by site."""
    fleet, secrets = wired.fleet, wired.secrets
    return {site.name: host_spec(fleet, site, secrets, serial=0).digest() for site in fleet.sites}


def _site(name: str, future: Future[AgentState], began_s: float) -> SiteSeen:
    if not future.done():
        return SiteSeen(site=name, state=None, error="no answer in time", seen_s_ago=None)
    try:
        state = future.result()
    except FailoverError as error:
        return SiteSeen(site=name, state=None, error=str(error), seen_s_ago=None)
    return SiteSeen(site=name, state=state, error="", seen_s_ago=round(_boottime_s() - began_s, 3))


def _record(future: Future[Record | None]) -> tuple[Record | None, str]:
    if not future.done():
        return None, "no majority of the voters answered in time"
    try:
        return future.result(), ""
    except FailoverError as error:
        # What each voter said in brackets is for the log; here it would bury the sentence that matters.
        return None, error.message.split(" (", 1)[0]


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
