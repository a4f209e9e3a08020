"""A new fleet on this machine: its file, the workload beside it, and its trust material. Refuses to overwrite."""

from __future__ import annotations

from pathlib import Path

import failover
from failover.config.fleet import check_fleet_bytes
from failover.config.local import local_fleet_text
from failover.config.local_stores import local_stores_text
from failover.errors import ConfigError, UsageError
from failover.model.fleet import Fleet
from failover.trust.age_files import FOLDER, age_key_file
from failover.trust.ca import Authority
from failover.trust.secrets import create_secrets
from failover.trust.store_keys import create_store_keys

WORKLOAD = "workload.yaml"
AGE_KEYS = ("verify.key", "recovery.key")
_SHIPPED = Path(failover.__file__).parent.parent / "stacks" / WORKLOAD


def init(path: Path, *, block: int, isolated: bool = False, stores: bool = False) -> tuple[str, ...]:
    """Write the local fleet at ``path``; returns what was written. Raises ``UsageError`` when it is there already.

    ``stores``: with stores and snapshots, and the two age keys that open them in ``keys/`` beside it.
    """
    if path.exists():
        raise UsageError(f"{path} exists already", hint="edit it, or name another one with --fleet")
    text, written = _text(block, isolated), [str(path)]
    if stores:
        files = [path.parent / FOLDER / name for name in AGE_KEYS]
        written.extend(str(file) for file in files if not file.exists())
        text += local_stores_text([age_key_file(file).public for file in files])
    fleet, findings = check_fleet_bytes(text.encode(), str(path))
    if fleet is None:
        raise ConfigError(f"the local fleet is not valid: {findings[0].message}")
    path.parent.mkdir(parents=True, exist_ok=True)
    workload = path.parent / WORKLOAD
    if not workload.exists():
        workload.write_bytes(_SHIPPED.read_bytes())
        written.append(str(workload))
    written.extend(make_trust(fleet, path.parent / ".failover" / "trust"))
    # Last: a fleet file that is there has its trust beside it.
    path.write_text(text, encoding="utf-8")
    return tuple(written)


def make_trust(fleet: Fleet, folder: Path) -> tuple[str, ...]:
    """The fleet's CA, the operator's certificate and the secrets: what is missing of them. Nothing is ever replaced."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.parent.chmod(0o700)
    made: list[str] = []
    if not (folder / "ca.key").exists():
        Authority.create(folder, fleet=fleet.name)
        made.append(str(folder / "ca.pem"))
    if not (folder / "operator.pem").exists():
        Authority(folder).issue_operator()
        made.append(str(folder / "operator.pem"))
    sites = [site.name for site in fleet.sites]
    create_secrets(folder, sites=sites, dns_sites=[site.name for site in fleet.dns_sites])
    create_store_keys(folder, fleet.stores)
    return tuple(made)


def _text(block: int, isolated: bool) -> str:
    try:
        return local_fleet_text(block, isolated=isolated)
    except ValueError as error:
        raise UsageError(str(error), hint="--block 10") from error
