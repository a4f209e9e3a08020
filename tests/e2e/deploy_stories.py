"""Stories of a first deploy that is struck: a fleet from nothing, or from machines that stand and hold nothing yet.

Points of a stack are struck from nothing, and the fleet is destroyed afterwards. What comes behind the stacks begins
with one and the same run that had made the machines and died: its folder and the machines' disks are put back, the
machines boot, and the run goes on into the strike. That is a second death of one run, and a third of the time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from failover.operations.stack_request import site_request
from tests.e2e.crash_points import Point, Told, run_struck, strike, strikes
from tests.e2e.crash_stories import born_wrong, tell_deploy
from tests.e2e.harness import ROOT, SITES, LocalFleet
from tests.e2e.load import wired_of

_STACK_S = 240.0


class DeployStories:
    """Each on a fleet of its own, one after the other in the same folder: what is put back knows its own paths."""

    def __init__(self, folder: Path, *, block: int) -> None:
        self._one = LocalFleet(folder / "fleet", block=block)
        self._kept = folder / "kept"
        self._run = ""
        self._booted: list[subprocess.Popen[bytes]] = []

    def tell(self, point: Point) -> Told:
        """Carry the story of ``point`` out."""
        if point.at.startswith("stack-"):
            self._clear()
            return tell_deploy(point, self._one.folder, block=self._one.block)
        return self._story(point)[0]

    def sweep(self, points: list[Point]) -> list[Told]:
        """One story struck at all of ``points``: agents only, no two at one step, none at a stack. What is wrong with
        it may be due to any of them: then each has to be told alone."""
        told, struck = self._story(points[0], " ".join(f"{point.at}:{point.victims}" for point in points))
        reached = {(step, *victims) for step, victims in struck}
        return [
            replace(told, point=point, reached=(point.at.split("/")[0], *point.victims.split(",")) in reached)
            for point in points
        ]

    def _story(self, point: Point, script: str = "") -> tuple[Told, list[tuple[str, list[str]]]]:
        if not self._run:
            self._run = self._machines()
        one, run = self._one, self._run
        try:
            self._put_back()
            told = strike(one, point, "resume", run, run=run, again=("deploy", "--yes"), script=script)
            told.wrong += born_wrong(one)
            return told, strikes(one, run)
        finally:
            self._end()

    def _machines(self) -> str:
        """A deploy that died before its first line, and its stacks as it would have applied them: each resume looks at
        them again and finds nothing to do. Returns the run."""
        self._clear()
        one = self._one
        one.init()
        try:
            run_struck(one, f"stack-{SITES[0]}/before:cli", "deploy", "--yes")
            wired = wired_of(one)
            try:
                run = wired.journal.runs()[0].run

                def apply(site: str) -> None:
                    request = site_request(wired, site)
                    wired.provisioner.up(request, progress=lambda _: None, deadline_s=_STACK_S)

                with ThreadPoolExecutor(max_workers=len(SITES)) as pool:
                    list(pool.map(apply, SITES))
            finally:
                wired.close()
        finally:
            self._end()
        shutil.rmtree(self._kept, ignore_errors=True)
        subprocess.run(["cp", "-a", str(one.folder), str(self._kept)], check=True, timeout=60)
        return run

    def _put_back(self) -> None:
        shutil.rmtree(self._one.folder, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self._kept), str(self._one.folder)], check=True, timeout=60)
        for site in SITES:
            host = self._one.host_dir(site)
            with (host / "log" / "supervise.log").open("ab") as log:
                self._booted.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "failover.agent.supervise", "--host-dir", str(host)], cwd=ROOT,
                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                        env=self._one.environment(),
                    )
                )  # fmt: skip

    def _end(self) -> None:
        self._one.end()
        for process in self._booted:
            process.kill()
            process.wait()
        self._booted.clear()

    def _clear(self) -> None:
        shutil.rmtree(self._one.folder, ignore_errors=True)
        self._one.folder.mkdir(parents=True)
