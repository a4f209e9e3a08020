"""One pass over all media: listings and index merged, each decision carried out or only counted. Constant memory.

What it writes: a missing copy, and a good copy over a bad one, every byte hashed on its way. It removes nothing, so it
may be cut off anywhere and begun again, and two at once do no harm: no lease, no journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Literal

from failover.data.media_copies import carry, digest
from failover.data.media_listing import decisions
from failover.errors import FailoverError, NotFound
from failover.model.media import Expected, MediaReport, StoreCounts, Trouble
from failover.planner.media import Compare, Copy, Decision, InStep, Lost, Merge, Unreferenced, mend
from failover.ports.media_index import MediaIndex
from failover.ports.store import Store

Verb = Literal["status", "sync", "verify"]
Work = Coroutine[Any, Any, object]
AT_ONCE = 16
_HEAD_S = 20.0


class MediaPass:
    """``missing``: told of each object that no store has. ``picked``: which objects ``verify`` reads."""

    def __init__(
        self,
        verb: Verb,
        stores: Sequence[Store],
        index: MediaIndex | None,
        report: MediaReport,
        *,
        prefix: str,
        missing: Callable[[Expected], None],
        picked: Callable[[str], bool],
    ) -> None:
        self._verb = verb
        self._stores = {store.name: store for store in stores}
        self._index = index
        self._report = report
        self._prefix = prefix
        self._missing = missing
        self._picked = picked
        self._counts: dict[str, StoreCounts] = {one.store: one for one in report.stores}
        self._merge = Merge(tuple(self._stores), indexed=index is not None)

    async def run(self) -> None:
        """To the end. Raises ``LaneFailed`` when a listing or the index broke off."""
        crowd = _Crowd(AT_ONCE)
        found = decisions(self._merge, tuple(self._stores.values()), self._index, prefix=self._prefix)
        async with aclosing(found) as stream:
            try:
                async for batch in stream:
                    for decision in batch:
                        work = self._work(decision)
                        if work is not None:
                            await crowd.take(work)
            finally:
                await crowd.end()

    def _work(self, decision: Decision) -> Work | None:
        """Count it; what is left to be done about it."""
        if self._index is not None and not isinstance(decision, Unreferenced):
            self._report.expected += 1
        match decision:
            case InStep():
                self._report.in_step += 1
                names = tuple(self._stores)
                self._held(names, decision.size_bytes)
                return self._judge(decision.key, decision.sha256, names, ()) if self._reads(decision.key) else None
            case Copy():
                self._held(decision.sources, decision.size_bytes)
                self._lack(decision.targets)
                if self._verb == "sync":
                    return self._copy(decision)
                names = decision.sources
                return self._judge(decision.key, decision.sha256, names, ()) if self._reads(decision.key) else None
            case Compare():
                for name, size in zip(decision.stores, decision.sizes, strict=True):
                    self._held((name,), size)
                self._lack(decision.absent)
                if self._verb == "status":
                    what = "sums in the listings" if decision.only_etags else "sizes"
                    self._tell("differs", decision.key, decision.stores, why=f"{what} differ")
                    return None
                return self._compare(decision)
            case Lost():
                return self._lost(decision)
            case Unreferenced():
                self._report.unreferenced += 1
                return None

    async def _lost(self, decision: Lost) -> None:
        """Asked for by name first: a listing may be a moment old."""
        for store in self._stores.values():
            try:
                if await store.head(decision.key, deadline_s=_HEAD_S) is not None:
                    self._held((store.name,), decision.size_bytes)
                    return
            except FailoverError as error:
                self._tell("unread", decision.key, (store.name,), why=str(error))
        self._tell("lost", decision.key)
        self._missing(Expected(key=decision.key, sha256=decision.sha256, size_bytes=decision.size_bytes))

    async def _copy(self, decision: Copy) -> None:
        for target in decision.targets:
            errors = []
            for source in decision.sources:
                try:
                    await self._carry(decision.key, decision.sha256, decision.size_bytes, source, target)
                except FailoverError as error:
                    errors.append(str(error))
                    continue
                self._counts[target].copied += 1
                break
            else:
                self._tell("not-copied", decision.key, (target,), why="; ".join(errors))

    async def _compare(self, decision: Compare) -> None:
        good = await self._judge(decision.key, decision.sha256, decision.stores, decision.absent)
        if decision.only_etags and set(good) == set(decision.stores):
            # One of them encrypts what it keeps: its ETags look like sums and are none.
            self._merge.etags_compare = False
            self._report.in_step += not decision.absent

    async def _judge(self, key: str, sha256: str, names: Sequence[str], absent: Sequence[str]) -> tuple[str, ...]:
        """Read every copy; which are good. ``sync`` then gives the others the bytes of a good one."""
        read: dict[str, str] = {}
        size = 0
        for name in names:
            try:
                read[name], size_bytes = await digest(self._stores[name], key)
            except NotFound:
                continue  # purged since it was listed
            except FailoverError as error:
                self._tell("unread", key, (name,), why=str(error))
                continue
            self._counts[name].read += 1
            size = size_bytes if read[name] == sha256 or not sha256 else size
        plan = mend(sha256, read, absent)
        for name in plan.bad if sha256 else ():
            self._counts[name].damaged += 1
        if plan.torn and read:
            kind = "damaged" if sha256 else "differs"
            self._tell(kind, key, tuple(read), why="no good copy" if sha256 else "nothing says which copy is right")
        elif plan.bad and self._verb != "sync":
            self._tell("damaged", key, plan.bad, good=plan.good)
        if self._verb == "sync":
            for name in plan.targets:
                await self._give(key, sha256, size, plan.good[0], name, over=name in plan.bad)
        return plan.good

    async def _give(self, key: str, sha256: str, size_bytes: int, source: str, target: str, *, over: bool) -> None:
        try:
            await self._carry(key, sha256, size_bytes, source, target)
        except FailoverError as error:
            self._tell("not-copied", key, (target,), good=(source,), why=str(error))
            return
        if over:
            self._counts[target].repaired += 1
        else:
            self._counts[target].copied += 1

    async def _carry(self, key: str, sha256: str, size_bytes: int, source: str, target: str) -> None:
        await carry(
            key, sha256=sha256, size_bytes=size_bytes, source=self._stores[source], target=self._stores[target]
        )

    def _reads(self, key: str) -> bool:
        return self._verb == "verify" and self._picked(key)

    def _held(self, names: Sequence[str], size_bytes: int) -> None:
        for name in names:
            self._counts[name].objects += 1
            self._counts[name].bytes += size_bytes

    def _lack(self, names: Sequence[str]) -> None:
        for name in names:
            self._counts[name].missing += 1

    def _tell(
        self, kind: str, key: str, stores: Sequence[str] = (), *, good: Sequence[str] = (), why: str = ""
    ) -> None:
        self._report.trouble(Trouble(kind=kind, key=key, stores=tuple(stores), good=tuple(good), why=why))


class _Crowd:
    """At most so many pieces of work at once; a bug in one ends the pass."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._tasks: set[asyncio.Task[object]] = set()

    async def take(self, work: Work) -> None:
        """Begin it; wait first while there are too many."""
        self._tasks.add(asyncio.ensure_future(work))
        while len(self._tasks) >= self._at_once:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def end(self) -> None:
        """Wait for all of it."""
        await asyncio.gather(*self._tasks)
