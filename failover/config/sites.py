"""Decodes ``sites``: one deployment at one provider each. ``placement`` and ``sockets`` compare them."""

from __future__ import annotations

from failover.config.decode import Table, Value
from failover.config.names import Name
from failover.model.fleet import Ports, Role, Site

KINDS = ("local", "aws", "gcp", "hcloud")
BUILT_KINDS = ("local",)
PORT_NAMES = tuple(Ports.__struct_fields__)

_SITE_EXAMPLE = "provider: north, role: data, address: 127.10.0.1"


def decode_sites(value: Value) -> tuple[Site, ...]:
    """The sites in the order of the file. Wrong values are stand-ins and reported."""
    sites = []
    for name, inner in value.entries(example="alpha: {provider: north, role: data, …}", may_be_empty=False):
        inner.key_name(Name.SITE)
        sites.append(_site(name, inner))
    return tuple(sites)


def _site(name: str, value: Value) -> Site:
    table = value.table("provider", "kind", "role", "address", "dns", "voter", "ports", example=_SITE_EXAMPLE)
    return Site(
        name=name,
        provider=table.required("provider", "north (the account that can be switched off as a whole)").name(Name.LABEL),
        kind=_kind(table.optional("kind")),
        role=Role(table.required("role", "data").choice(tuple(Role), Role.DATA)),
        address=table.required("address", "127.10.0.1").address(),
        dns=table.optional("dns").boolean(False),
        voter=table.optional("voter").boolean(True),
        ports=_ports(table.optional("ports").table(*PORT_NAMES, example="postgres: 5432")),
    )


def _kind(value: Value) -> str:
    kind = value.choice(KINDS, "local")
    if kind not in BUILT_KINDS:
        value.wrong("not-built", f"sites of kind {kind} are not built yet", "write local")
    return kind


def _ports(table: Table) -> Ports:
    default = Ports()
    chosen = {name: port(table.optional(name), getattr(default, name)) for name in PORT_NAMES}
    return Ports(**chosen)


def port(value: Value, default: int) -> int:
    """A TCP port."""
    return value.integer(default, low=1, high=65535)
