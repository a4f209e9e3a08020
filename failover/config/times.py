"""Decodes ``dns`` and ``timing``, and compares the times: which of them must outlast which, and why."""

from __future__ import annotations

from dataclasses import dataclass

from failover.config.decode import Value
from failover.config.names import Name
from failover.config.problems import Problems
from failover.model.fleet import Dns, Timing
from failover.model.units import format_duration

_LONG_TTL_S = 60
_STEADY_FAILURES = 2
_STEADY_S = 0.5
_ROUNDS_KNOWN = 4
_TWO_READS_S = 1.0
_TWO_HEARTBEATS_S = 1.0
_TTL = ("dns", "ttl")


def decode_dns(value: Value) -> Dns:
    """The app's public name. Wrong values are stand-ins and reported."""
    example = "{zone: example.org, name: www.example.org}"
    table = value.table("zone", "name", "ttl", "answer", example=example, may_be_empty=False)
    ttl = table.optional("ttl")
    seconds = ttl.seconds(5.0, low="1s", high="1d")
    if ttl.sound_here and seconds != int(seconds):
        ttl.wrong("out-of-range", "DNS counts whole seconds", f"write {int(seconds)}s")
    return Dns(
        zone=table.required("zone", "example.org").name(Name.DOMAIN),
        name=table.required("name", "www.example.org").name(Name.DOMAIN),
        ttl_s=int(seconds),
        answer=table.optional("answer").choice(("edges", "primary"), "edges"),
    )


def check_dns(dns: Dns, problems: Problems) -> None:
    """The name lies in the zone, and clients ask again soon enough."""
    named = problems.sound("dns", "name") and problems.sound("dns", "zone")
    if named and dns.name != dns.zone and not dns.name.endswith("." + dns.zone):
        message = f"{dns.name} does not lie in the zone {dns.zone}"
        problems.error("dns-name", ("dns", "name"), message, f"write www.{dns.zone}, or another zone")
    if problems.sound(*_TTL) and dns.ttl_s > _LONG_TTL_S:
        message = f"clients may go on to a dead address for {format_duration(dns.ttl_s)}"
        problems.warning("dns-ttl", _TTL, message, "write 5s to 60s")


def decode_timing(value: Value) -> Timing:
    """The times that decide. Wrong values are the defaults and reported."""
    table = value.table(
        "probe_every",
        "probe_failures",
        "probe_timeout",
        "standby_stale",
        "fresh",
        "keeper_lease",
        "move_budget",
        "hold_budget",
        example="probe_every: 250ms",
    )
    default = Timing()
    return Timing(
        probe_every_s=table.optional("probe_every").seconds(default.probe_every_s, low="50ms", high="1m"),
        probe_failures=table.optional("probe_failures").integer(default.probe_failures, low=1, high=100),
        probe_timeout_s=table.optional("probe_timeout").seconds(default.probe_timeout_s, low="10ms", high="1m"),
        standby_stale_s=table.optional("standby_stale").seconds(default.standby_stale_s, low="100ms", high="10m"),
        fresh_s=table.optional("fresh").seconds(default.fresh_s, low="100ms", high="1m"),
        keeper_lease_s=table.optional("keeper_lease").seconds(default.keeper_lease_s, low="2s", high="5m"),
        move_budget_s=table.optional("move_budget").seconds(default.move_budget_s, low="1s", high="10m"),
        hold_budget_s=table.optional("hold_budget").seconds(default.hold_budget_s, low="100ms", high="10m"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """``name`` is at least, or at most, ``bound_s``, which is ``words`` and rests on the times ``others``."""

    name: str
    value_s: float
    at_least: bool = False
    bound_s: float
    words: str
    others: tuple[str, ...] = ()
    why: str

    @property
    def kept(self) -> bool:
        return self.value_s >= self.bound_s if self.at_least else self.value_s <= self.bound_s


def _orders(timing: Timing) -> tuple[_Order, ...]:
    return (
        _Order(
            name="probe_timeout",
            value_s=timing.probe_timeout_s,
            # A verdict is unknown again when its last probe is four rounds old: a frozen site would never be down.
            bound_s=timing.probe_every_s * min(timing.probe_failures, _ROUNDS_KNOWN),
            words="probe_every × probe_failures" if timing.probe_failures <= _ROUNDS_KNOWN else "4 × probe_every",
            others=("probe_every", "probe_failures") if timing.probe_failures <= _ROUNDS_KNOWN else ("probe_every",),
            why="waiting for one answer would take longer than a death takes to be seen",
        ),
        _Order(
            name="fresh",
            value_s=timing.fresh_s,
            at_least=True,
            bound_s=_TWO_READS_S,
            words="two reads of the record",
            why="one late read would close the gates of a healthy site",
        ),
        _Order(
            name="fresh",
            value_s=timing.fresh_s,
            bound_s=timing.keeper_lease_s,
            words="keeper_lease",
            others=("keeper_lease",),
            why="a site would go on serving after its keeper lost the right to speak",
        ),
        _Order(
            name="standby_stale",
            value_s=timing.standby_stale_s,
            at_least=True,
            bound_s=_TWO_HEARTBEATS_S,
            words="two heartbeats of the primary",
            why="an idle, healthy standby would look stale",
        ),
        _Order(
            name="hold_budget",
            value_s=timing.hold_budget_s,
            bound_s=timing.move_budget_s,
            words="move_budget",
            others=("move_budget",),
            why="clients would still be held for a move that has been given up",
        ),
    )


def check_timing(timing: Timing, promote: str, problems: Problems) -> None:
    """Each time outlasts what has to happen within it. Only sound values are compared."""
    for order in _orders(timing):
        involved = (order.name, *order.others)
        if order.kept or not all(problems.sound("timing", key) for key in involved):
            continue
        at = next((key for key in involved if problems.written("timing", key)), order.name)
        value, bound = format_duration(order.value_s), format_duration(order.bound_s)
        limit = f"{'at least' if order.at_least else 'at most'} {order.words} ({bound})"
        message = f"{order.name} is {value}, must be {limit}: {order.why}"
        hint = f"write {order.name}: {_written(order.bound_s)}"
        if order.others:
            hint += f", or change {' or '.join(order.others)}"
        problems.error("timing-order", ("timing", at), message, hint, spoils=(("timing", order.name),))
    _check_nervous(timing, promote, problems)


def _check_nervous(timing: Timing, promote: str, problems: Problems) -> None:
    """A busy machine pauses for a while now and then; that should not move a primary by itself."""
    if promote != "auto" or not all(problems.sound("timing", key) for key in ("probe_every", "probe_failures")):
        return
    detection_s = timing.probe_every_s * timing.probe_failures
    if timing.probe_failures >= _STEADY_FAILURES and detection_s >= _STEADY_S:
        return
    key = "probe_every" if timing.probe_failures >= _STEADY_FAILURES else "probe_failures"
    message = f"a pause of {format_duration(detection_s)} would be taken for a death and moves the primary"
    hint = "write probe_failures: 3 and probe_every: 250ms, or promote: ask"
    problems.warning("timing-nervous", ("timing", key), message, hint)


def _written(seconds: float) -> str:
    """A duration as the file has it."""
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
