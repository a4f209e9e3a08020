"""Three data sites: how many of the listed members must acknowledge (B3). The rest of the explorer has two of them.

A world of its own, smaller: one primary, two standbys that flush, die and come back, the real decisions of the three
keepers, and the real text of ``synchronous_standby_names``, whose number is read and obeyed. What is asked for only
there is not repeated here: late replies, pauses, partitions, timelines (``scenarios.py``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from failover.adapters import postgres_config
from failover.model.observation import DatabaseFacts, Replica
from failover.model.record import Record, Timeline
from failover.model.units import MemberId
from failover.planner import keeper
from failover.planner.keeper import KeeperFacts
from failover.planner.verdict import DOWN, UP, Opinion
from tests.explore import search

SITES = ("alpha", "beta", "gamma")
PROVIDERS = dict(zip(SITES, ("north", "south", "west"), strict=True))
MEMBERS = tuple(MemberId(f"{site}_{number:08x}") for number, site in enumerate(SITES))
_NUMBER = re.compile(r"ANY (\d+) \(")


class Three(NamedTuple):
    """``wal``: records each copy has; ``cfg``, ``force``, ``proven``, ``proof``: names of the primary, as in world.py;
    ``told``: how many records were acknowledged; ``alive``: which copies run; ``deaths``: how many may still die."""

    record: Record
    wal: tuple[int, int, int]
    cfg: tuple[str, ...]
    force: tuple[str, ...]
    proven: tuple[str, ...] | None
    proof: int
    told: int
    alive: tuple[bool, bool, bool]
    writes: int
    deaths: int


def beginning(*, writes: int, deaths: int) -> Three:
    """alpha is primary, both others in sync."""
    record = Record(epoch=1, revision=1, primary=MEMBERS[0], sync=MEMBERS[1:], timelines=(Timeline(tli=1, fork_lsn=0),),
                    system_identifier="42")  # fmt: skip
    names = tuple(str(name) for name in MEMBERS[1:])
    return Three(record, (1, 1, 1), names, names, names, 1, 0, (True, True, True), writes, deaths)


def explore(*, writes: int, deaths: int, any_one: bool = False, limit: int = 10_000_000) -> search.Found:
    """Every order of events within the bounds. ``any_one``: the law is off, one of the listed is enough."""

    def successors(world: Three) -> Iterator[tuple[Any, Three]]:
        if world.record.epoch > 1:
            return  # one takeover is enough: what it lacks is lost
        yield from _server(world, any_one)
        yield from _faults(world)
        for site in range(3):
            if world.alive[site]:
                yield from _keeper(world, site)

    return search.search(beginning(writes=writes, deaths=deaths), successors, limit=limit, broken=violation)


def violation(world: Three) -> str:
    """Who may be promoted, or was, lacks what was acknowledged."""
    may = world.record.sync if world.record.epoch == 1 else (world.record.primary,)
    for site, member in enumerate(MEMBERS):
        if member in may and world.wal[site] < world.told:
            return f"{SITES[site]} may be promoted and lacks an acknowledged write"
    return ""


def needed(names: tuple[str, ...]) -> int:
    """How many of ``names`` PostgreSQL waits for, by the text that the product writes."""
    found = _NUMBER.match(postgres_config.sync_names(names))
    return int(found[1]) if found is not None else 0


def _server(world: Three, any_one: bool) -> Iterator[tuple[Any, Three]]:
    """Writes, flushes, acknowledgements; configured names come into force."""
    if not world.alive[0]:
        return
    if world.writes:
        yield ("writes", 0), world._replace(wal=_put(world.wal, 0, world.wal[0] + 1), writes=world.writes - 1)
    for site in (1, 2):
        if world.alive[site] and world.wal[site] < world.wal[0]:
            yield ("flushes", site), world._replace(wal=_put(world.wal, site, world.wal[site] + 1))
    have = sorted((world.wal[MEMBERS.index(MemberId(name))] for name in world.force), reverse=True)
    count = min(1, len(have)) if any_one else needed(world.force)
    covered = min(world.wal[0], have[count - 1]) if count else world.wal[0]
    if covered > world.told:
        yield ("acknowledges", 0, covered), world._replace(told=covered)
    if world.cfg != world.force:
        yield ("names come into force", 0), world._replace(force=world.cfg)


def _faults(world: Three) -> Iterator[tuple[Any, Three]]:
    for site in range(3):
        if world.alive[site] and world.deaths:
            yield ("host crashes", site), world._replace(alive=_put(world.alive, site, False), deaths=world.deaths - 1)
        elif not world.alive[site] and site:
            yield ("host comes back", site), world._replace(alive=_put(world.alive, site, True))


def _keeper(world: Three, site: int) -> Iterator[tuple[Any, Three]]:
    """What the keeper at ``site`` decides, whether it is patient with those that do not stream or not."""
    actions = (keeper.decide(_facts(world, site, patient=patient)) for patient in (True, False))
    for action in dict.fromkeys(actions):
        match action:
            case keeper.Swap(new=new, why=why):
                yield ("keeper", site, why), world._replace(record=msgspec.structs.replace(new, revision=1))
            case keeper.SetNames(names=names, why=why) if site == 0:
                yield ("keeper", site, why), world._replace(cfg=names, proven=None, proof=-1)
            case keeper.ProveNames(names=names, why=why) if site == 0:
                yield ("keeper", site, why), world._replace(force=names, proven=names, proof=world.wal[0])
            case _:
                continue  # what a standby does to its own names changes nothing that is asked here


def _facts(world: Three, site: int, *, patient: bool) -> KeeperFacts:
    here = [other for other in (1, 2) if world.alive[other]]
    rows = tuple(
        Replica(application_name=MEMBERS[other], state="streaming", sync_state="quorum", flush_lsn=world.wal[other],
                replay_lsn=world.wal[other]) for other in here
    )  # fmt: skip
    primary = site == 0
    db = DatabaseFacts(
        state="primary" if primary else "standby", member=MEMBERS[site], system_identifier="42", timeline=1,
        position=world.wal[site], upstream="" if primary else SITES[0], streaming=world.alive[0],
        names=world.cfg if primary else (str(MEMBERS[0]),), replicas=rows if primary else (),
        names_proven=world.proven if primary else (str(MEMBERS[0]),),
    )  # fmt: skip
    silent = frozenset(MEMBERS[other] for other in (1, 2) if not world.alive[other])
    caught = frozenset(MEMBERS[other] for other in here if 0 <= world.proof <= world.wal[other])
    return KeeperFacts(
        site=SITES[site], record=world.record, db=db, providers=PROVIDERS,
        lost=frozenset(str(one) for one in silent) if primary and not patient else frozenset(),
        caught_up=frozenset(str(one) for one in caught) if world.proven == world.cfg else frozenset(),
        copies={SITES[other]: MEMBERS[other] for other in range(3) if other != site and world.alive[other]},
        opinions={} if patient else _opinions(world),
    )  # fmt: skip


def _opinions(world: Three) -> dict[str, tuple[Opinion, ...]]:
    """What every host that runs says of every other."""
    said: dict[str, tuple[Opinion, ...]] = {}
    for observer, suspect in itertools.permutations(range(3), 2):
        if world.alive[observer]:
            name, verdict = SITES[observer], UP if world.alive[suspect] else DOWN
            opinion = Opinion(observer=name, provider=PROVIDERS[name], verdict=verdict)
            said[SITES[suspect]] = (*said.get(SITES[suspect], ()), opinion)
    return said


def _put(values: tuple[Any, ...], index: int, value: Any) -> Any:
    return (*values[:index], value, *values[index + 1 :])
