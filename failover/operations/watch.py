"""What goes on, told to whoever watches: the engine's steps and the stacks' resources as one kind of line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from failover.engine.handler import StepProgress
from failover.model.run_report import Progress
from failover.model.units import utc_text
from failover.operations.pace import Flow
from failover.ports.provisioner import StackProgress

Show = Callable[[Progress], None]


class Watch:
    """Turns both into ``Progress`` and hands it to ``show``. Called from many threads: ``show`` has to bear that."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def step(self, told: StepProgress) -> None:
        """A step began or ended."""
        self._show(
            Progress(
                at=_now(),
                kind="step",
                run=told.run,
                step=told.step.id,
                title=told.step.title,
                site=told.step.site,
                phase=told.phase,
                detail=told.detail,
                seconds_s=told.seconds,
                undoing=told.undoing,
            )
        )

    def stack(self, told: StackProgress) -> None:
        """A resource of a stack began or ended. Those that stay the same are not worth a line."""
        if told.operation in ("same", "read", "refresh") and told.phase != "failed":
            return
        self._show(
            Progress(
                at=_now(),
                kind="resource",
                title=f"{told.operation} {told.resource}",
                site=told.site,
                phase=told.phase,
                detail=told.message,
            )
        )

    def flow(self, told: Flow) -> None:
        """How far a transfer is."""
        self._show(
            Progress(
                at=_now(),
                kind="transfer",
                title=told.title,
                phase="done" if told.over else "started",
                done_bytes=told.done_bytes,
                total_bytes=told.total_bytes,
                rate_bytes_s=round(told.rate_bytes_s, 1),
                left_s=None if told.left_s is None else round(told.left_s, 1),
            )
        )

    def note(self, text: str) -> None:
        """A sentence."""
        self._show(Progress(at=_now(), kind="note", title=text))


def _now() -> str:
    return utc_text(datetime.now(UTC))
