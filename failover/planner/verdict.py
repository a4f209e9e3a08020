"""Probe results -> up, down or unknown. Pure. One good answer is "up"; "down" needs every one of the last N to fail;
anything else, and anything too old, is "unknown" and moves nothing."""

from __future__ import annotations

import msgspec

UP, DOWN, UNKNOWN = "up", "down", "unknown"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One target's consecutive failures and the instants (CLOCK_BOOTTIME of the prober) that judge their age."""

    failures: int = 0
    ok_at_s: float | None = None
    tried_at_s: float | None = None

    def after(self, *, ok: bool, at_s: float) -> Tally:
        """The tally after one more probe."""
        if ok:
            return Tally(failures=0, ok_at_s=at_s, tried_at_s=at_s)
        return Tally(failures=self.failures + 1, ok_at_s=self.ok_at_s, tried_at_s=at_s)


def verdict(tally: Tally, *, failures_needed: int, every_s: float, now_s: float) -> str:
    """Judge one target. A prober that stopped probing (a frozen agent) knows nothing: ``unknown``."""
    if tally.tried_at_s is None or now_s - tally.tried_at_s > max(4 * every_s, 1.0):
        return UNKNOWN
    if tally.failures == 0:
        return UP
    return DOWN if tally.failures >= failures_needed else UNKNOWN


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What one observer at one live provider says of a site."""

    observer: str
    provider: str
    verdict: str


def agreed_down(opinions: tuple[Opinion, ...], *, suspect_provider: str, needed: int = 2) -> bool:
    """True when observers at ``needed`` different providers, none of them the suspect's, say down, and nobody there
    says up (DESIGN 2.2: the dying provider's own view does not vote)."""
    voting = [opinion for opinion in opinions if opinion.provider != suspect_provider]
    down = {opinion.provider for opinion in voting if opinion.verdict == DOWN}
    return len(down) >= needed and all(opinion.verdict != UP for opinion in voting)
