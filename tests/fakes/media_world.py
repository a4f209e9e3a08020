"""Two stores in memory, an index, and the fleet they belong to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from failover.model.media import MediaReport, media_prefix
from failover.model.stores import MediaRules, StorePlace
from failover.operations.media_pass import Verb
from failover.operations.media_work import media
from tests.fakes.hosts import fleet
from tests.fakes.media_index import MemoryIndex
from tests.fakes.store import RICH, MemoryStore
from tests.fakes.wired import memory

PREFIX = media_prefix("demo")
PLACES = tuple(
    StorePlace(name=name, provider=name, kind="s3", endpoint=f"https://{name}", bucket="demo")
    for name in ("north", "south")
)


def name_of(body: bytes) -> str:
    """As the social app names what it keeps."""
    digest = hashlib.sha256(body).hexdigest()
    return f"{digest[:2]}/{digest}"


def key_of(body: bytes) -> str:
    return PREFIX + name_of(body)


class MediaWorld:
    """``north`` and ``south``; ``refer`` says what the app's database refers to."""

    def __init__(self, folder: Path, *, indexed: bool = True) -> None:
        self.north, self.south = (
            MemoryStore(name=place.name, traits=msgspec.structs.replace(RICH, provider=place.name)) for place in PLACES
        )
        self.index = MemoryIndex()
        rules = MediaRules(index="SELECT" if indexed else "")
        declared = msgspec.structs.replace(fleet(), stores=PLACES, media=rules)
        self.memory = memory(folder, declared=declared, stores=(self.north, self.south), index=self.index)

    def hold(self, store: MemoryStore, *bodies: bytes) -> None:
        for body in bodies:
            store.objects[key_of(body)] = (body, store.now)

    def refer(self, *bodies: bytes) -> None:
        self.index.bodies.update({name_of(body): body for body in bodies})

    def run(self, verb: Verb, *, one_in: int = 1) -> MediaReport:
        return media(self.memory.wired, verb, one_in=one_in)

    def held(self, store: MemoryStore) -> set[bytes]:
        return {body for body, _ in store.objects.values()}
