"""The private age keys on this machine: in ``keys/`` beside the fleet file, or in files named on the command line.
They open snapshots, so they never lie on a site; a fleet's machines know recipients only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from failover.errors import UsageError
from failover.operations.wired import Wired
from failover.trust.age import AgeKey
from failover.trust.age_files import FOLDER, age_key_file

SUFFIX = ".key"


def keys_dir(wired: Wired) -> Path:
    """Where keys are looked for."""
    return wired.fleet_path.parent / FOLDER


def keys_here(wired: Wired, files: Sequence[Path] = ()) -> dict[Path, AgeKey]:
    """Every key at hand, each once, by its file. Raises ``UsageError`` for a file that is none."""
    folder = keys_dir(wired)
    found: dict[Path, AgeKey] = {}
    kept = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    for path in (*files, *kept):
        key = read_key(path)
        if key.public not in {one.public for one in found.values()}:
            found[path] = key
    return found


def need_keys(wired: Wired, files: Sequence[Path] = ()) -> tuple[AgeKey, ...]:
    """The same. Raises ``UsageError`` when there is none."""
    found = keys_here(wired, files)
    if not found:
        raise UsageError(
            f"no private age key is here: {keys_dir(wired)} holds none", hint="name its file: --key FILE"
        )
    return tuple(found.values())


def read_key(path: Path) -> AgeKey:
    """A key file as ``age-keygen`` writes it. Raises ``UsageError`` saying which file."""
    try:
        return AgeKey.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key file cannot be read: {type(error).__name__}", where=str(path)) from error
    except UsageError as error:
        raise UsageError(error.message, where=str(path), hint=error.hint) from error


def new_key(path: Path) -> AgeKey:
    """A fresh one in that file (0600), never over anything."""
    if path.exists():
        raise UsageError(f"{path} exists already: no key is ever written over", hint="name another file: --out FILE")
    return age_key_file(path)
