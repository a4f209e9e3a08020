"""The open loop: requests leave when they are due, whatever became of those before; the ledger takes every result.

Must never be here: how one request is made (client), signals, stdin and the duration (main).
"""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Callable, Coroutine

from failover.load.arrivals import arrivals
from failover.load.beside import Beside
from failover.load.client import Client, Compiled, Patience
from failover.load.ledger import FLUSH_EVERY_S, LedgerWriter
from failover.load.request import LoadRequest, Progress
from failover.load.tally import Tally
from failover.load.workload import write_id
from failover.model.ledger import LedgerEnd, RequestDone, RequestKind, WriteSent

PROGRESS_EVERY_S = 0.5

Make = Callable[[int, float], Coroutine[None, None, None]]


class Generator:
    """Drives one workload. ``stop()`` ends the arrivals; ``run()`` returns once what is under way is finished too."""

    def __init__(
        self,
        *,
        request: LoadRequest,
        clients: list[Client],
        ledger: LedgerWriter,
        clock: Callable[[], float],
        say: Callable[[Progress], None],
        beside: Beside | None = None,
    ) -> None:
        self._request = request
        self._clients = clients
        self._ledger = ledger
        self._clock = clock
        self._say = say
        self._beside = beside
        self.tally = Tally()
        self._streams: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._patience = Patience(budget_s=request.budget_s, attempt_s=request.attempt_s, retry=request.retry)

    def stop(self) -> None:
        """No more arrivals. Repeatable, callable from a signal handler of the loop."""
        for stream in self._streams:
            stream.cancel()

    def abandon(self) -> None:
        """Drop what is under way too: those writes stay "sent" without a result in the ledger."""
        self.stop()
        for task in self._under_way:
            task.cancel()

    async def run(self, *, started_s: float) -> LedgerEnd:
        """Drive from ``started_s`` until stopped. Raises what any part raised (a bug, a full disk) as a group: a load
        that silently lost its ledger would prove nothing."""
        async with asyncio.TaskGroup() as chores:
            keeping = [chores.create_task(self._flush_often()), chores.create_task(self._tell_often())]
            streams = [] if self._beside is None else list(self._beside.streams())
            async with asyncio.TaskGroup() as requests:
                self._streams = [
                    requests.create_task(self._stream(requests, make, per_s, started_s, str(kind)))
                    for kind, make, per_s in self._kinds()
                ]
                if self._beside is not None:
                    for upload in self._request.workload.uploads:
                        begun = self._beside.uploads(requests, upload, started_s=started_s)
                        self._streams.append(requests.create_task(begun))
            for chore in (*keeping, *streams):
                chore.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        end = LedgerEnd(
            ended_s=round(self._clock(), 6),
            writes=self.tally.writes,
            reads=self.tally.reads,
            unfinished=self.tally.outstanding,
            cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
            latest_send_ms=round(self.tally.latest_send_s * 1000, 3),
        )
        self._ledger.add(end)
        return end

    def _kinds(self) -> list[tuple[RequestKind, Make, float]]:
        kinds: list[tuple[RequestKind, Make, float]] = [
            (RequestKind.WRITE, self._writes(), self._request.writes_per_s)
        ]
        if self._request.workload.reads:
            kinds.append((RequestKind.READ, self._reads(), self._request.reads_per_s))
        return kinds

    async def _stream(
        self, group: asyncio.TaskGroup, make: Make, per_s: float, started_s: float, kind: str
    ) -> None:
        schedule = arrivals(self._request.schedule, per_s=per_s, seed=f"{self._request.seed}:{kind}")
        for number, offset_s in enumerate(schedule):
            due_s = started_s + offset_s
            if (pause_s := due_s - self._clock()) > 0:
                await asyncio.sleep(pause_s)
            task = group.create_task(make(number, due_s))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _writes(self) -> Make:
        write = self._request.workload.write
        compiled = Compiled(write.request)

        async def make(number: int, due_s: float) -> None:
            id_ = write_id(self._request.run, number)
            self.tally.writes += 1
            self._ledger.add(WriteSent(id=id_, sent_s=round(self._clock(), 6)))
            done = await self._clients[number % len(self._clients)].perform(
                compiled, kind=RequestKind.WRITE, id_=id_, number=number, scheduled_s=due_s,
                repeatable=write.idempotent, patience=self._patience,
            )  # fmt: skip
            self._take(done)

        return make

    def _reads(self) -> Make:
        reads = self._request.workload.reads
        compiled = [Compiled(read.request) for read in reads]
        weights = [read.weight for read in reads]
        chance = random.Random(f"reads:{self._request.seed}")

        async def make(number: int, due_s: float) -> None:
            self.tally.reads += 1
            done = await self._clients[number % len(self._clients)].perform(
                chance.choices(compiled, weights)[0], kind=RequestKind.READ, id_=f"{self._request.run}.r{number:07d}",
                number=number, scheduled_s=due_s, repeatable=True, patience=self._patience,
            )  # fmt: skip
            self._take(done)

        return make

    def _take(self, done: RequestDone) -> None:
        self._ledger.add(done)
        self.tally.done(done)

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._ledger.flush()

    async def _tell_often(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            tally = self.tally
            self._say(
                Progress(
                    at_s=self._clock(),
                    acknowledged_writes=tally.acknowledged_writes,
                    acknowledged_reads=tally.acknowledged_reads,
                    errors=tally.errors,
                    retried=tally.retried,
                    outstanding=tally.outstanding,
                    last_acknowledged_s=tally.last_acknowledged_s,
                )
            )
