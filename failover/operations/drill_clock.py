"""``clock``: the wall clock of a site jumps by 90 s, forward while it is standby and back while it is primary.

A machine's clock cannot be set for one site of a local fleet, so the site's programs are started under a wrapper: a
library, compiled here, that adds an offset to every reading of the wall clock and can change it under them at any time.
etcd is linked statically and does not see it. Leases and deadlines live on CLOCK_BOOTTIME (safety D5): nothing may move
that nobody asked for, and nothing may be lost.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

from failover.errors import Refused
from failover.operations.drill_moves import switchover
from failover.operations.drill_scene import Scene, boot_s

STEP_S = 90.0
_LET_IT_SINK_IN_S = 3.0
_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static const volatile double *offset_s;
__attribute__((constructor)) static void find_offset(void) {
  const char *path = getenv("FAILOVER_CLOCK_FILE");
  int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor < 0) return;
  void *page = mmap(0, sizeof(double), PROT_READ, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (page != MAP_FAILED) offset_s = page;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = (int)syscall(SYS_clock_gettime, clock, now);
  int wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (!failed && offset_s && wall) now->tv_sec += (long)*offset_s;
  return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  int failed = clock_gettime(CLOCK_REALTIME, &exact);
  if (!failed && now) { now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000; }
  return failed;
}
time_t time(time_t *into) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (into) *into = exact.tv_sec;
  return exact.tv_sec;
}
"""


class Wrapper:
    """The compiled library and the offset that it reads. Raises ``Refused`` without a C compiler."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise Refused("a clock cannot be bent here: there is no C compiler", hint="apt-get install gcc libc6-dev")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._library = folder / "clock.so"
        source = folder / "clock.c"
        source.write_text(_SOURCE)
        subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(source)], check=True, timeout=60
        )
        self._file = folder / "offset"
        self._file.write_bytes(struct.pack("d", 0.0))

    @property
    def environment(self) -> dict[str, str]:
        """For the programs whose clock is to be bent."""
        return {"LD_PRELOAD": str(self._library), "FAILOVER_CLOCK_FILE": str(self._file)}

    def step(self, offset_s: float) -> None:
        """From this instant on their wall clock is off by so much."""
        with self._file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as page:
            page[:] = struct.pack("d", offset_s)


def clock(scene: Scene) -> None:
    """Start the standby under the wrapper, jump, move there, jump back past zero."""
    site, provider = scene.ask.site, scene.provider
    wrapper = Wrapper(scene.wired.state_dir / "clock")
    scene.watch.note(f"{site} starts again under a clock that can be bent")
    restarted = boot_s()
    provider.kill(site)
    provider.give_back(site, environment=wrapper.environment)
    scene.wait_until(boot_s() + 1.0)
    scene.wait_protected(from_s=restarted + 1.0)
    try:
        wrapper.step(STEP_S)
        scene.mark(f"{site} is {STEP_S:.0f} s ahead")
        scene.wait_until(boot_s() + _LET_IT_SINK_IN_S)
        switchover(scene)
        wrapper.step(-STEP_S)
        scene.mark(f"{site} is {STEP_S:.0f} s behind")
        scene.wait_until(boot_s() + _LET_IT_SINK_IN_S)
        scene.wait_to_the_end()
    finally:
        wrapper.step(0.0)
