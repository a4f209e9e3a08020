"""Reads a fleet file: every problem of it at once, or the fleet it declares. Touches no network and starts nothing."""

from __future__ import annotations

from pathlib import Path

from failover.config.app import decode_app
from failover.config.decode import Value
from failover.config.media import check_media, decode_media
from failover.config.names import Name
from failover.config.nodes import Node, parse_nodes
from failover.config.placement import check_placement, check_preferred
from failover.config.problems import Problems
from failover.config.services import check_services
from failover.config.sites import decode_sites
from failover.config.snapshots import check_snapshots, decode_snapshots
from failover.config.sockets import check_sockets
from failover.config.source import check_text, read_text
from failover.config.stores import check_stores, decode_stores
from failover.config.times import check_dns, check_timing, decode_dns, decode_timing
from failover.errors import ConfigError
from failover.model.finding import Finding, Severity
from failover.model.fleet import Fleet

_KEYS = (
    "fleet", "preferred", "promote", "on_standby_loss", "record", "sites", "app", "dns", "timing", "stores",
    "snapshots", "media",
)  # fmt: skip


class FleetFileError(ConfigError):
    """The fleet file has errors. ``findings`` has all of them, and the warnings, in the order of the file."""

    def __init__(self, path: Path, findings: tuple[Finding, ...]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        where = str(errors[0].place) if errors and errors[0].place else str(path)
        super().__init__(f"{path}: {count}", where=where, hint="failover validate shows all of them")
        self.findings = findings


def load_fleet(path: Path) -> Fleet:
    """The fleet declared in ``path``. Raises ``FleetFileError`` with every finding."""
    fleet, findings = check_fleet(path)
    if fleet is None:
        raise FleetFileError(path, findings)
    return fleet


def check_fleet(path: Path) -> tuple[Fleet | None, tuple[Finding, ...]]:
    """The fleet, or ``None`` when there is an error, and all findings. Never raises for what a file contains."""
    problems = Problems(str(path))
    text = read_text(path, problems)
    return _check(text, problems)


def check_fleet_bytes(data: bytes, file: str) -> tuple[Fleet | None, tuple[Finding, ...]]:
    """The same for content that is not in a file yet; ``file`` is the name the findings show."""
    problems = Problems(file)
    return _check(check_text(data, problems), problems)


def _check(text: str | None, problems: Problems) -> tuple[Fleet | None, tuple[Finding, ...]]:
    root = None if text is None else parse_nodes(text, problems)
    fleet = None if root is None else _decode(root, problems)
    return (None if problems.fatal else fleet), problems.findings()


def _decode(root: Node, problems: Problems) -> Fleet:
    problems.stands((), key=None, value=root.place)
    top = Value(problems, (), root).table(*_KEYS, example="fleet: demo", may_be_empty=False)
    promote = top.optional("promote").choice(("auto", "ask"), "auto")
    record = _record(top.optional("record"))
    sites = decode_sites(top.required("sites", "{alpha: {provider: north, role: data, address: 127.10.0.1}, …}"))
    stores = decode_stores(top.optional("stores"), sites)
    snapshots = decode_snapshots(top.optional("snapshots"))
    fleet = Fleet(
        name=top.required("fleet", "demo").name(Name.LABEL),
        preferred=top.required("preferred", "alpha").text(),
        promote=promote,
        on_standby_loss=top.optional("on_standby_loss").choice(("stall", "degrade"), "degrade"),
        record=record,
        sites=sites,
        app=decode_app(top.required("app", "{name: social, services: …}")),
        dns=decode_dns(top.required("dns", "{zone: example.org, name: www.example.org}")),
        timing=decode_timing(top.optional("timing")),
        stores=stores,
        snapshots=snapshots,
        media=decode_media(top.optional("media"), snapshots),
    )
    check_preferred(fleet.preferred, fleet.sites, problems)
    check_placement(fleet.sites, record, problems)
    check_sockets(fleet.sites, fleet.app.services, problems)
    check_services(fleet.app.services, problems)
    check_dns(fleet.dns, problems)
    check_timing(fleet.timing, promote, problems)
    check_stores(fleet, problems)
    check_snapshots(fleet, problems)
    check_media(fleet, problems)
    return fleet


def _record(value: Value) -> str:
    record = value.choice(("etcd", "sqlite"), "etcd")
    if record == "sqlite":
        message = "one file at one place: enough for a first look and for tests, lost with its provider"
        value.problems.warning("record-sqlite", value.path, message, "write etcd")
    return record
