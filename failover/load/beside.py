"""What a drill holds open beside its requests: streams that are opened again when they end, and slow uploads.

Every opening and every upload is a line of the ledger; an upload is never sent twice. Must never be here: the schedule
of ordinary requests (generator).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp

from failover.errors import Unreachable
from failover.load.client import Client, Compiled
from failover.load.ledger import LedgerWriter
from failover.load.sender import Sender
from failover.load.workload import Upload, Workload
from failover.model.ledger import StreamDone, UploadDone

# What a browser does with a stream that ended, as the app may tell it.
REOPEN_S = 0.2
CHUNK_EVERY_S = 0.1
_GRACE_S = 30.0
_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, Unreachable)


class Beside:
    """The workload's streams and uploads. Empty for a workload that declares none."""

    def __init__(
        self,
        *,
        run: str,
        workload: Workload,
        clients: list[Client],
        sender: Sender,
        ledger: LedgerWriter,
        clock: Callable[[], float],
    ) -> None:
        self._run = run
        self._workload = workload
        self._clients = clients
        self._sender = sender
        self._ledger = ledger
        self._clock = clock

    def streams(self) -> Iterator[asyncio.Task[None]]:
        """Hold every stream open until its task is cancelled."""
        holder = 0
        for stream in self._workload.streams:
            compiled = Compiled(stream.request)
            for _ in range(stream.clients):
                client = self._clients[holder % len(self._clients)]
                yield asyncio.create_task(self._hold(compiled, client, holder))
                holder += 1

    async def uploads(self, group: asyncio.TaskGroup, upload: Upload, *, started_s: float) -> None:
        """Begin one every ``every_s`` until cancelled; those on their way go on in ``group``."""
        compiled = Compiled(upload.request)
        number = 0
        while True:
            due_s = started_s + number * upload.every_s
            await asyncio.sleep(max(0.0, due_s - self._clock()))
            group.create_task(self._send(compiled, upload, number))
            number += 1

    async def _hold(self, compiled: Compiled, client: Client, holder: int) -> None:
        number = 0
        while True:
            path, headers = client.fill(compiled, number=str(number))
            asked_s, opened_s, why, status = self._clock(), 0.0, "connect", 0
            try:
                async with self._sender.opened(compiled.method, path, headers=headers, client=client.number) as answer:
                    status, why = answer.status, "status"
                    if status in compiled.accept:
                        opened_s, why = self._clock(), "lost"
                        async for _ in answer.content.iter_any():
                            continue
                        why = "ended"
            except asyncio.CancelledError:
                why = "stopped"
                raise
            except _FAILURES:
                why = why if opened_s else "connect"
            finally:
                self._ledger.add(
                    StreamDone(
                        holder=holder, asked_s=round(asked_s, 6), opened_s=round(opened_s, 6),
                        ended_s=round(self._clock(), 6), why=why, status=status,
                    )
                )  # fmt: skip
            number += 1
            await asyncio.sleep(REOPEN_S)

    async def _send(self, compiled: Compiled, upload: Upload, number: int) -> None:
        client = self._clients[number % len(self._clients)]
        id_ = f"{self._run}.u{number:05d}"
        path, headers = client.fill(compiled, number=str(number), id=id_)
        headers["Content-Length"] = str(upload.size_bytes)
        sent_s, status, why = self._clock(), 0, ""
        try:
            async with asyncio.timeout(upload.takes_s + _GRACE_S):
                async with self._sender.opened(
                    compiled.method, path, headers=headers, client=client.number, body=self._body(upload, id_)
                ) as answer:
                    status = answer.status
                    await answer.read()
        except _FAILURES as failure:
            why = type(failure).__name__
        self._ledger.add(
            UploadDone(
                id=id_, sent_s=round(sent_s, 6), ended_s=round(self._clock(), 6), status=status, why=why,
                acknowledged=not why and status in compiled.accept,
            )
        )  # fmt: skip

    async def _body(self, upload: Upload, id_: str) -> AsyncIterator[bytes]:
        """Evenly over ``takes_s``: what it begins with, then the id, then filler."""
        head = f"{upload.begins}{id_}".encode()[: upload.size_bytes]
        content = head + b"." * (upload.size_bytes - len(head))
        pieces = max(1, round(upload.takes_s / CHUNK_EVERY_S))
        began_s = self._clock()
        for piece in range(pieces):
            await asyncio.sleep(max(0.0, began_s + (piece + 1) * upload.takes_s / pieces - self._clock()))
            yield content[len(content) * piece // pieces : len(content) * (piece + 1) // pieces]
