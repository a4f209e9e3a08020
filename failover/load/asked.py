"""What the asker is told, and the two lines it says. Values only; the test account's own token is the one secret."""

from __future__ import annotations

import msgspec

from failover.load.workload import Workload


class AskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``target`` is the public base URL, for marks and the log-in; ``places`` are the base URLs that are asked (none:
    only log in). ``values``: what an earlier log-in kept, so that the account is known at a side that was cut off
    since. ``per_s`` counts asks over all places, ``at_once`` those that may wait for an answer together, and one in
    ``write_every`` is a write: at a cut-off side each waits for ever, and keeps a connection that reads would need."""

    run: str
    workload: Workload
    target: str
    dns_servers: tuple[str, ...]
    places: tuple[str, ...] = ()
    values: dict[str, str] = msgspec.field(default_factory=dict)
    per_s: float = 300.0
    at_once: int = 400
    write_every: int = 3
    attempt_s: float = 3.0
    ca_file: str = ""


class Entered(msgspec.Struct, frozen=True, kw_only=True, tag="entered"):
    """Logged in, and (where places are asked) a first mark is acknowledged: asking begins."""

    values: dict[str, str]


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """What was seen. ``acknowledged``: ids of the writes that the asked side acknowledged. In CLOCK_BOOTTIME:
    ``marked_s``, when each mark was acknowledged; ``served_s``, when each read that was answered with the app's data,
    fresh or stale, was sent and answered."""

    asked: int = 0
    answered: int = 0
    fresh_reads: int = 0
    stale_reads: int = 0
    marked_s: tuple[float, ...] = ()
    served_s: tuple[tuple[float, float], ...] = ()
    stale_log: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
