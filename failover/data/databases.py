"""Which databases and timelines the stores hold something of. Found by jumping from folder to folder: a listing of all
the WAL would take minutes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from failover.data.ask import ask_all
from failover.model.snapshot import wal_folder
from failover.ports.store import Store

_STALL_S = 20.0


class Databases(msgspec.Struct, frozen=True, kw_only=True):
    """System identifiers, in order. ``unreachable``: store -> why it did not say."""

    identifiers: tuple[str, ...]
    unreachable: dict[str, str]


async def databases(stores: Sequence[Store], fleet: str) -> Databases:
    """Everything that was ever the database of this fleet."""
    found, silent = await ask_all(stores, lambda store: _folders(store, f"{fleet}/"))
    names = set().union(*found.values())
    return Databases(
        identifiers=tuple(sorted(name for name in names if name.isdigit())),
        unreachable={name: str(error) for name, error in silent.items()},
    )


async def timelines(stores: Sequence[Store], fleet: str, system_identifier: str) -> tuple[int, ...]:
    """Timelines with shipped WAL in any store that answers, the newest first."""
    prefix = wal_folder(fleet, system_identifier)
    found, _ = await ask_all(stores, lambda store: _folders(store, prefix))
    return tuple(sorted({int(name, 16) for names in found.values() for name in names}, reverse=True))


async def _folders(store: Store, prefix: str) -> set[str]:
    """Names of the folders right below ``prefix``."""
    found: set[str] = set()
    after = ""
    while True:
        stored = await anext(aiter(store.list(prefix, stall_s=_STALL_S, start_after=after)), None)
        if stored is None:
            return found
        name, slash, _ = stored.key.removeprefix(prefix).partition("/")
        if slash:
            found.add(name)
        # "0" comes right after "/": everything in the folder is passed over.
        after = f"{prefix}{name}0" if slash else stored.key
