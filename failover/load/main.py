"""The generator's own process: ``python -m failover.load.main --request FILE``. Lines of JSON on stdout.

Apart from the operator's process, so that its pauses do not distort what is measured. Ends in order on SIGTERM, at the
end of its duration, and when stdin closes: the pipe of a parent that died closes by itself, whatever killed it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec
import uvloop

from failover import kernel
from failover.errors import FailoverError, Interrupted, UsageError
from failover.load.addresses import AddressBook
from failover.load.beside import Beside
from failover.load.client import Client, Compiled, Patience, Served
from failover.load.clock import boottime_s
from failover.load.generator import Generator
from failover.load.ledger import LedgerWriter
from failover.load.references import resolve
from failover.load.request import RUN, Failed, Finished, Line, LoadRequest, Ready
from failover.load.resolver import Resolver
from failover.load.sender import Sender, Target
from failover.model.ledger import LedgerHead

STARTS_AFTER_S = 0.05
_encoder = msgspec.json.Encoder()


class Stopper:
    """First SIGTERM, the end of stdin or of the duration: no more arrivals. Second SIGTERM: drop what is under way.
    Before the load has begun any of them ends the process at once."""

    def __init__(self) -> None:
        self._generator: Generator | None = None
        self._starting = asyncio.current_task()
        self.reason: Literal["duration", "stopped", "killed"] | None = None
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._told)
        loop.add_signal_handler(signal.SIGINT, self._told)
        loop.add_reader(sys.stdin.fileno(), self._heard)

    def watch(self, generator: Generator, duration_s: float | None) -> None:
        """From now on it is this generator that ends."""
        self._generator = generator
        if duration_s is not None:
            asyncio.get_running_loop().call_later(duration_s, self._end, "duration")

    def _told(self) -> None:
        if self.reason is None or self._generator is None:
            self._end("stopped")
        else:
            self.reason = "killed"
            self._generator.abandon()

    def _heard(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._end("stopped")

    def _end(self, reason: Literal["duration", "stopped"]) -> None:
        if self.reason is None:
            self.reason = reason
        if self._generator is not None:
            self._generator.stop()
        elif self._starting is not None:
            self._starting.cancel()


async def drive(request: LoadRequest) -> Finished:
    """Log in, say ``ready``, drive, close the ledger. Raises ``FailoverError`` before any write if it cannot."""
    stopper = Stopper()
    workload = request.workload
    target = Target.parse(request.target)
    sender = Sender(
        target=target,
        resolver=Resolver(name=target.host, servers=request.dns_servers),
        book=AddressBook(),
        connect_s=request.connect_s,
        clock=boottime_s,
        ca_file=request.ca_file,
    )
    async with sender:
        clients = await _log_in(request, sender)
        began_s, began_cpu_s = boottime_s() + STARTS_AFTER_S, time.process_time()
        head = LedgerHead(
            run=request.run, seed=request.seed, target=request.target, workload=workload.name,
            idempotent=workload.write.idempotent, retry=request.retry, writes_per_s=request.writes_per_s,
            reads_per_s=request.reads_per_s, started_s=round(began_s, 6),
            started_unix_s=round(time.time() + STARTS_AFTER_S, 6),
        )  # fmt: skip
        with LedgerWriter(Path(request.ledger), head) as ledger:
            beside = Beside(
                run=request.run, workload=workload, clients=clients, sender=sender, ledger=ledger, clock=boottime_s
            )
            generator = Generator(
                request=request, clients=clients, ledger=ledger, clock=boottime_s, say=_say, beside=beside
            )
            stopper.watch(generator, request.duration_s)
            # What exists now lives to the end: a full collection in the middle of a run is a pause of ours.
            gc.collect()
            gc.freeze()
            _say(Ready(at_s=began_s, pid=os.getpid()))
            end = await generator.run(started_s=began_s)
    tally = generator.tally
    return Finished(
        at_s=boottime_s(), reason=stopper.reason or "stopped", acknowledged_writes=tally.acknowledged_writes,
        errors=tally.errors, unfinished=end.unfinished, cpu_s=end.cpu_s,
        cpu_share=round((time.process_time() - began_cpu_s) / max(boottime_s() - began_s, 0.001), 3),
    )  # fmt: skip


async def _log_in(request: LoadRequest, sender: Sender) -> list[Client]:
    workload = request.workload
    served = Served(site_header=workload.served_by.site_header, epoch_header=workload.served_by.epoch_header)
    values = {"run": request.run} | {name: resolve(where).reveal() for name, where in workload.secrets.items()}
    clients = [
        Client(number=number, values=values, sender=sender, served=served, seed=str(request.seed), clock=boottime_s)
        for number in range(workload.clients)
    ]
    steps = tuple((login, Compiled(login.request)) for login in workload.login)
    patience = Patience(budget_s=request.login_budget_s, attempt_s=max(request.attempt_s, 5.0), retry=True)
    # A few at a time: hashing passwords is the slowest thing an app does, all at once would only time out.
    turns = asyncio.Semaphore(4)

    async def log_in(client: Client) -> None:
        async with turns:
            await client.log_in(steps, patience=patience)

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(log_in(client))
    return clients


def _say(line: Line) -> None:
    """One line, without ever waiting: a parent that does not read loses ``progress`` lines, not the open loop."""
    try:
        os.write(sys.stdout.fileno(), _encoder.encode(line) + b"\n")
    except (BlockingIOError, BrokenPipeError):
        return


def _read_request(path: str) -> LoadRequest:
    try:
        request = msgspec.json.decode(Path(path).read_bytes(), type=LoadRequest)
    except (OSError, msgspec.MsgspecError) as failure:
        raise UsageError(f"the load request cannot be read: {failure}", where=path) from failure
    if RUN.fullmatch(request.run) is None:
        raise UsageError(f"not a run name: {request.run!r}", where=path, hint="3 to 24 of a-z, 0-9 and _")
    return request


def _known(failure: BaseException) -> FailoverError | None:
    """The first known error inside a group, when the group holds nothing else."""
    if isinstance(failure, BaseExceptionGroup):
        inner = [_known(one) for one in failure.exceptions]
        return inner[0] if inner and all(inner) else None
    return failure if isinstance(failure, FailoverError) else None


def main() -> int:
    """Exit status of the process; a known failure is one ``failed`` line, a bug a traceback."""
    parser = argparse.ArgumentParser(prog="failover.load.main")
    parser.add_argument("--request", required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.set_blocking(sys.stdout.fileno(), False)
    # The clients it stands for have machines of their own: an answer that waited here for a processor would be counted
    # as the fleet's pause.
    kernel.hurry(kernel.CLIENT)
    try:
        _say(uvloop.run(drive(_read_request(arguments.request))))
    except asyncio.CancelledError:
        stopped = Interrupted("stopped before the load began")
        _say(Failed(at_s=boottime_s(), code=stopped.code, message=str(stopped)))
        return int(stopped.exit_status)
    except (FailoverError, BaseExceptionGroup) as failure:
        known = _known(failure)
        if known is None:
            raise
        _say(Failed(at_s=boottime_s(), code=known.code, message=str(known), hint=known.hint))
        return int(known.exit_status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
