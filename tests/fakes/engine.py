"""A pretended world and the handlers that act on it: switches named by the actions, faults by script, a clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from failover.engine.clock import Clock
from failover.engine.executor import Tools
from failover.engine.handler import Context, Guard, Looked, NoLease, See, StepProgress
from failover.engine.interrupt import Interrupt
from failover.errors import FailoverError, OutcomeUnknown, Unreachable
from failover.model.plan import Checkpoint, DestroyStack, Plan, Step
from failover.ports.journal import Journal, Owner
from tests.fakes.journal import Killed

ME = Owner(user="ops", host="here", pid=1, start_ticks=7)


class FakeClock:
    """Time passes only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 100.0
        self._lock = threading.Lock()

    def boottime(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, duration_s: float) -> None:
        with self._lock:
            self._now += max(duration_s, 0.001)


@dataclass
class World:
    """``on``: switches that are set. ``calls``: what was performed, in order, with what the look before it had said.

    ``script``: per switch, what befalls the next performs: "fail", "nothing sent", "lost request", "lost reply",
    "bug", "ignored", "ok". ``blind``: per switch, how many looks say "unknown". ``dead`` is asked first: after it
    says true nothing happens any more.
    """

    on: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)
    script: dict[str, list[str]] = field(default_factory=dict)
    blind: dict[str, int] = field(default_factory=dict)
    looks: dict[str, See] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    dead: Callable[[], bool] = lambda: False
    before: Callable[[str], None] = lambda name: None

    def look(self, name: str, wanted: bool) -> Looked:
        with self.lock:
            if self.dead():
                raise Killed
            if self.blind.get(name, 0) > 0:
                self.blind[name] -= 1
                self.looks[name] = See.UNKNOWN
                raise Unreachable(f"{name} does not answer")
            see = See.DONE if (name in self.on) is wanted else See.NOT_DONE
            self.looks[name] = see
            return Looked(see=see, detail=f"{name} is {'on' if name in self.on else 'off'}")

    def set(self, name: str, wanted: bool) -> str:
        self.before(name)
        with self.lock:
            if self.dead():
                raise Killed
            verb = "do" if wanted else "undo"
            self.calls.append((verb, name))
            assert self.looks.get(name) is See.NOT_DONE, f"{name}: performed although the look said {self.looks}"
            script = self.script.get(name, [])
            fault = script.pop(0) if script else "ok"
            if fault == "fail":
                raise FailoverError(f"{name} refuses")
            if fault == "nothing sent":
                raise Unreachable(f"{name}: no connection")
            if fault == "lost request":
                raise OutcomeUnknown(f"{name}: no reply")
            if fault == "bug":
                raise KeyError(name)
            if fault != "ignored":
                self.on.add(name) if wanted else self.on.discard(name)
            if fault == "lost reply":
                raise OutcomeUnknown(f"{name}: no reply")
            return f"{verb} {name}"


class Switch:
    """Handler of ``Checkpoint`` (sets the switch named by its site) and of ``DestroyStack`` (takes it back)."""

    def __init__(self, world: World, wanted: bool, *, repeatable: bool = True) -> None:
        self._world, self._wanted, self.repeatable = world, wanted, repeatable

    def look(self, action: Checkpoint | DestroyStack, context: Context) -> Looked:
        return self._world.look(action.site, self._wanted)

    def perform(self, action: Checkpoint | DestroyStack, context: Context) -> str:
        return self._world.set(action.site, self._wanted)


def step(
    name: str,
    *,
    lane: str = "",
    after: tuple[str, ...] = (),
    commit: bool = False,
    required: bool = True,
    undo: bool = True,
    timeout_s: float = 5.0,
) -> Step:
    """A step that sets the switch ``name``; the commit step has no way back."""
    return Step(
        id=name, title=f"Set {name}", action=Checkpoint(site=name), why="test", lane=lane, after=after, commit=commit,
        required=required, timeout_s=timeout_s, undo=DestroyStack(site=name) if undo and not commit else None,
    )  # fmt: skip


def plan(*steps: Step) -> Plan:
    return Plan(verb="switchover", summary="test", steps=steps)


def tools(
    world: World,
    journal: Journal,
    *,
    guard: Guard | None = None,
    interrupt: Interrupt | None = None,
    shown: list[StepProgress] | None = None,
    repeatable: bool = True,
    clock: Clock | None = None,
) -> Tools:
    told = shown if shown is not None else []
    return Tools(
        handlers={
            Checkpoint: Switch(world, True, repeatable=repeatable),
            DestroyStack: Switch(world, False, repeatable=True),
        },
        journal=journal,
        guard=guard if guard is not None else NoLease(),
        progress=told.append,
        clock=clock if clock is not None else FakeClock(),
        interrupt=interrupt if interrupt is not None else Interrupt(),
    )
