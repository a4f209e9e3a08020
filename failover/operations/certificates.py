"""Lost-write certificates on the operator's side: fetched from every site that answers, kept, listed.

A certificate outlives the host that made it only because it is copied here. What must never be here: changing one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from failover.errors import Damaged, FailoverError, UsageError
from failover.model.certificate import Certificate
from failover.operations.inspect import look
from failover.operations.wired import Wired
from failover.planner.preflight import answers

_CALL_S = 3.0


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """Every certificate known here, oldest first; ``failed``: site -> why it could not be asked now."""

    certificates: tuple[Certificate, ...]
    failed: dict[str, str]


def fetch(wired: Wired) -> Fetched:
    """Ask every data site, keep what is new below ``certificates/``, and read all that is kept."""
    folder = wired.state_dir / "certificates"
    seen = look(wired)
    failed: dict[str, str] = {}
    sites = [site.name for site in wired.fleet.data_sites]
    answering = [name for name in sites if answers(seen, name) is not None]
    failed |= {name: seen.site(name).error or "no answer" for name in sites if name not in answering}
    with ThreadPoolExecutor(max_workers=max(1, len(answering)), thread_name_prefix="certificates") as pool:
        asked = {name: pool.submit(wired.hosts.certificates, name, deadline_s=_CALL_S) for name in answering}
    for name, future in asked.items():
        try:
            for one in future.result():
                _keep(folder, one)
        except FailoverError as error:
            failed[name] = str(error)
    return Fetched(certificates=kept(folder), failed=failed)


def kept(folder: Path) -> tuple[Certificate, ...]:
    """What was fetched before, oldest first. Raises ``Damaged`` when one is not what was sealed."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            one = msgspec.json.decode(path.read_bytes(), type=Certificate)
        except msgspec.MsgspecError as error:
            raise Damaged(f"a certificate cannot be read: {error}", where=str(path)) from error
        if not one.intact:
            raise Damaged("a certificate is not what was sealed: somebody changed it", where=str(path))
        found.append(one)
    return tuple(sorted(found, key=lambda one: one.saved_at))


def one_of(fetched: Fetched, name: str) -> Certificate:
    """The one of that id. Raises ``UsageError``."""
    for one in fetched.certificates:
        if one.id == name:
            return one
    raise UsageError(f"there is no certificate {name}", hint="failover certificate list")


def _keep(folder: Path, one: Certificate) -> None:
    if not one.intact:
        raise Damaged(f"the certificate {one.id} of {one.site} is not what was sealed", where=one.folder)
    path = folder / f"{one.id}.json"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(one))
    temporary.replace(path)
