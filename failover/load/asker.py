"""Asks one side directly, past the public name, and remembers what it answered: ``python -m failover.load.asker``.

A drill sends it to the side that must not serve any more. Whether a read was stale is told by its content: a mark (a
write through the public name) was acknowledged before the read was sent, and the answer says that it is not there.
Must never be here: a judgement of the writes; only the final primary's rows can tell which of them it alone took.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from failover.errors import FailoverError, Unreachable
from failover.load.addresses import AddressBook
from failover.load.asked import Asked, AskRequest, Entered
from failover.load.client import Client, Compiled, Patience, Served
from failover.load.clock import boottime_s
from failover.load.pick import pick
from failover.load.references import resolve
from failover.load.resolver import Resolver
from failover.load.sender import Answer, Sender, Target
from failover.load.workload import write_id

_CONNECT_S = 1.0
_MARK_EVERY_S = 0.25
_MARK_WITHIN_S = 5.0
_LONGEST_LIST = 20


class Asker:
    """Holds the counts of one stretch of asking."""

    def __init__(self, request: AskRequest, values: Mapping[str, str], public: Sender) -> None:
        mark = request.workload.mark
        assert mark is not None, "asked only where the workload says how"
        self._request = request
        self._values = values
        self._public = public
        self._write = Compiled(request.workload.write.request)
        self._read = Compiled(mark.request)
        self._mark = mark
        self._numbers = itertools.count()
        self._marked = ""
        self._marked_s: list[float] = []
        self._served_s: list[tuple[float, float]] = []
        # A write that the asked side takes in and cannot finish would hold up the marks for as long as it waits.
        self._avoid = next((urlsplit(place).hostname or "" for place in request.places), "")
        self._under_way: set[asyncio.Task[None]] = set()
        self._acknowledged: list[str] = []
        self._stale: list[str] = []
        self._counts = {"asked": 0, "answered": 0, "fresh": 0}
        self.marked = asyncio.Event()

    async def keep_marking(self) -> None:
        """A new mark every quarter of a second, through the public name and past the asked side, if another one
        connects: what tells a stale read is a write that the asked side did not take part in.

        Those sent before another side took over wait there, and are its first writes: one after the other they would
        begin when the past is hardly served any more."""
        async with asyncio.TaskGroup() as under_way:
            while True:
                under_way.create_task(self._one_mark())
                await asyncio.sleep(_MARK_EVERY_S)

    async def _one_mark(self) -> None:
        id_ = write_id(self._request.run, next(self._numbers))
        values = {**self._values, "id": id_, "number": "0"}
        answer = await self._send(
            self._public, self._write, values, within_s=_MARK_WITHIN_S, keep_body=True, avoid=self._avoid
        )
        if answer.status in self._write.accept:
            found = pick(self._mark.keep, headers=answer.headers or {}, body=answer.body)
            if found is not None:
                self._marked = found
                self._marked_s.append(round(boottime_s(), 3))
                self.marked.set()

    async def ask(self, places: list[Sender], *, per_s: float) -> None:
        """An open loop over all places, until cancelled: what waits for an answer holds up nothing."""
        began = boottime_s()
        for number in itertools.count():
            if (pause_s := began + number / per_s - boottime_s()) > 0:
                await asyncio.sleep(pause_s)
            if len(self._under_way) >= self._request.at_once:
                continue
            place = places[number % len(places)]
            write = number // len(places) % self._request.write_every == 0
            task = asyncio.create_task(self._one_write(place) if write else self._one_read(place))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _one_read(self, place: Sender) -> None:
        mark, sent_s = self._marked, boottime_s()
        self._counts["asked"] += 1
        answer = await self._send(place, self._read, {**self._values, "mark": mark, "number": "0"})
        if answer.why:
            return
        self._counts["answered"] += 1
        fresh, stale = answer.status in self._read.accept, answer.status in self._mark.stale
        self._counts["fresh"] += fresh
        if fresh or stale:
            self._served_s.append((round(sent_s, 3), round(boottime_s(), 3)))
        if stale:
            self._stale.append(f"{sent_s:.3f} {answer.address} did not have {mark}")

    async def _one_write(self, place: Sender) -> None:
        id_ = write_id(self._request.run, next(self._numbers))
        self._counts["asked"] += 1
        answer = await self._send(place, self._write, {**self._values, "id": id_, "number": "0"})
        if answer.why:
            return
        self._counts["answered"] += 1
        if answer.status in self._write.accept:
            self._acknowledged.append(id_)

    async def _send(
        self,
        sender: Sender,
        compiled: Compiled,
        values: Mapping[str, str],
        *,
        within_s: float | None = None,
        keep_body: bool = False,
        avoid: str = "",
    ) -> Answer:
        return await sender.send(
            compiled.method,
            compiled.path.fill(values),
            headers={name: text.fill(values) for name, text in compiled.headers.items()},
            body=compiled.body.fill(values).encode(),
            client=0,
            within_s=within_s or self._request.attempt_s,
            keep_body=keep_body,
            avoid=avoid,
        )

    async def finish(self) -> Asked:
        """Let what is under way end, and say what was seen."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._request.attempt_s)
        return Asked(
            asked=self._counts["asked"],
            answered=self._counts["answered"],
            fresh_reads=self._counts["fresh"],
            stale_reads=len(self._stale),
            stale_log=tuple(self._stale[:_LONGEST_LIST]),
            acknowledged=tuple(self._acknowledged),
            marked_s=tuple(self._marked_s),
            served_s=tuple(self._served_s),
        )


class _Forgetful(AddressBook):
    """Gives nobody up: a side that could not take a mark just now may be the new primary a moment later."""

    def dead(self, address: str, *, now_s: float) -> None:
        """As if it had answered."""
        del address, now_s


def _sender(request: AskRequest, url: str, book: AddressBook | None = None) -> Sender:
    target = Target.parse(url)
    return Sender(
        target=target,
        resolver=Resolver(name=target.host, servers=request.dns_servers),
        book=book or AddressBook(),
        connect_s=_CONNECT_S,
        clock=boottime_s,
        ca_file=request.ca_file,
    )


async def _enter(request: AskRequest, public: Sender) -> dict[str, str]:
    """Log one client in; raises ``Unreachable`` when the app does not let it."""
    workload = request.workload
    secrets = {name: resolve(where).reveal() for name, where in workload.secrets.items()}
    client = Client(
        number=0, values={"run": request.run} | secrets, sender=public, served=Served(), seed="asker", clock=boottime_s
    )
    steps = tuple((login, Compiled(login.request)) for login in workload.login)
    await client.log_in(steps, patience=Patience(budget_s=20.0, attempt_s=5.0, retry=True))
    return dict(client.values)


async def _told_to_stop() -> None:
    """The end of stdin: the drill closes it, or is gone."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            told.set()

    loop.add_reader(sys.stdin.fileno(), heard)
    await told.wait()


async def _run(request: AskRequest) -> None:
    async with _sender(request, request.target) as public:
        values = dict(request.values) or await _enter(request, public)
        if not request.places:
            _say(Entered(values=values))
            return
        marks = _sender(request, request.target, _Forgetful())
        await marks.__aenter__()
        asker = Asker(request, values, marks)
        marking = asyncio.create_task(asker.keep_marking())
        try:
            async with asyncio.timeout(20.0):
                await asker.marked.wait()
        except TimeoutError:
            raise Unreachable("no mark could be written through the public name") from None
        _say(Entered(values=values))
        places = [_sender(request, url) for url in request.places]
        for place in places:
            await place.__aenter__()
        asking = asyncio.create_task(asker.ask(places, per_s=request.per_s))
        await _told_to_stop()
        asking.cancel()
        marking.cancel()
        asked = await asker.finish()
        for sender in (marks, *places):
            await sender.__aexit__(None, None, None)
        _say(asked)


def _say(line: Entered | Asked) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """One JSON line when it asks, one when it has ended; a known failure on stderr."""
    parser = argparse.ArgumentParser(prog="failover.load.asker")
    parser.add_argument("--request", required=True)
    request = msgspec.json.decode(Path(parser.parse_args().request).read_bytes(), type=AskRequest)
    try:
        asyncio.run(_run(request))
    except FailoverError as failure:
        sys.stderr.write(f"{failure}\n")
        return int(failure.exit_status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
