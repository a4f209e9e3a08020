"""What a case is, and how it is told: once with its law kept, once without. The cases are in files by chapter."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.laws.world import World, make_template

Story = Callable[[World, bool], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``law``: of safety.md. ``broken``: what is switched off. ``story(world, kept)`` returns what is reported."""

    law: str
    broken: str
    story: Story

    @property
    def id(self) -> str:
        """For tests and for people."""
        return self.story.__name__.replace("_", "-")


CASES: list[Case] = []
_STORY_S = 150.0
"""A story takes seconds; on a machine that others keep busy it took 42 of them."""


def law(name: str, broken: str) -> Callable[[Story], Story]:
    """Registers a story."""

    def register(story: Story) -> Story:
        CASES.append(Case(law=name, broken=broken, story=story))
        return story

    return register


class Court:
    """Tells cases, each in a world of its own; the template is made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template: Path | None = None
        self._told = 0

    def tell(self, case: Case, *, kept: bool) -> list[str]:
        """What checker and auditor report."""
        return asyncio.run(self._tell(case, kept))

    async def _tell(self, case: Case, kept: bool) -> list[str]:
        if self._template is None:
            (self._folder / "template").mkdir(parents=True)
            self._template = await make_template(self._folder / "template")
        self._told += 1
        folder = self._folder / f"world-{self._told}"
        world = World(folder, self._template)
        try:
            return await asyncio.wait_for(case.story(world, kept), _STORY_S)
        finally:
            await world.end()
            shutil.rmtree(folder, ignore_errors=True)
