"""Decodes ``stores``: one bucket each, run by a site of ours or by its provider. And judges whose they are.

What must never be here: asking a store anything; a key of one.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from typing import cast

import msgspec

from failover.config.decode import Table, Value
from failover.config.names import Name, did_you_mean
from failover.config.problems import Problems, clipped
from failover.model.fleet import Fleet, Site
from failover.model.snapshot import QUORUM
from failover.model.store_ports import store_ports
from failover.model.stores import STORE_SERVICE, StoreKind, StorePlace

KINDS = ("seaweedfs", "rclone", "s3")
_RUN_BY_US = ("seaweedfs", "rclone")
_TOP = ("stores",)
_EXAMPLE = "{name: north, site: alpha, kind: seaweedfs, bucket: demo}"
_ENDPOINT = re.compile(r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9a-f:]+\])(:(?P<port>[0-9]{1,5}))?")


def decode_stores(value: Value, sites: tuple[Site, ...]) -> tuple[StorePlace, ...]:
    """The stores in the order of the file. Wrong values are stand-ins and reported."""
    return tuple(_store(item, sites) for item in value.items())


def check_stores(fleet: Fleet, problems: Problems) -> None:
    """Each store once, and the loss of one provider leaves a store."""
    if not fleet.stores or not problems.sound(*_TOP):
        return
    _check_twice(fleet.stores, problems)
    _check_providers(fleet.stores, problems)
    for index, store in enumerate(fleet.stores):
        if store.site and problems.sound(*_TOP, f"[{index}]"):
            _check_sockets(fleet, store, index, problems)


def check_kept(section: str, what: str, fleet: Fleet, problems: Problems) -> None:
    """A ``section`` whose things are kept in stores has some. ``what``: of the message, why one is needed."""
    if not fleet.stores and problems.sound("stores"):
        problems.error("stores-few", (section,), what, f"add stores: [{_EXAMPLE}, …]", at_key=True, spoils=())


def _store(value: Value, sites: tuple[Site, ...]) -> StorePlace:
    table = value.table(
        "name", "site", "provider", "kind", "endpoint", "bucket", "region", example=_EXAMPLE, may_be_empty=False
    )
    kind = table.required("kind", "seaweedfs").choice(KINDS, "s3")
    site = _site(table.optional("site"), sites)
    name = table.required("name", "north").name(Name.LABEL)
    provider = _provider(value, table, site)
    endpoint = _endpoint(table, kind, site)
    return StorePlace(
        name=name,
        provider=provider,
        kind=cast(StoreKind, kind),
        endpoint=endpoint,
        bucket=table.required("bucket", "demo").name(Name.BUCKET),
        region=table.optional("region").name(Name.REGION, "us-east-1"),
        site=site.name if site is not None else "",
    )


def _site(value: Value, sites: tuple[Site, ...]) -> Site | None:
    name = value.text()
    site = next((site for site in sites if site.name == name), None)
    if name and site is None and value.problems.sound("sites"):
        names = tuple(site.name for site in sites)
        hint = did_you_mean(name, names) or f"write {' or '.join(names)}, or provider: and endpoint:"
        value.wrong("unknown-site", f"there is no site {clipped(name)}", hint)
    return site


def _provider(value: Value, table: Table, site: Site | None) -> str:
    """The company: that of the site, or the one named."""
    at, own = table.optional("site"), table.optional("provider")
    if at.present and own.present:
        message = "a store runs at a site of ours or is its provider's own, not both"
        own.wrong("store-home", message, "remove one of the two: the provider of a site is known")
    elif not at.present and not own.present and value.problems.sound(*value.path):
        message, hint = "nobody has it: neither site nor provider", "add site: alpha, or provider: and endpoint:"
        value.problems.error("missing-key", value.path, message, hint, spoils=(at.path, own.path))
    if at.present:
        return site.provider if site is not None else ""
    return own.name(Name.LABEL)


def _endpoint(table: Table, kind: str, site: Site | None) -> str:
    at, value, of_kind = table.optional("site"), table.optional("endpoint"), table.optional("kind")
    if at.present:
        if value.present:
            message = "a store that a site runs listens at that site; its ports follow from the address"
            value.wrong("store-endpoint", message, "remove the line")
        if kind not in _RUN_BY_US and of_kind.present and of_kind.sound_here:
            hint = f"write {' or '.join(_RUN_BY_US)}, or instead of site: provider: and endpoint:"
            of_kind.wrong("store-kind", f"{kind} is no program a site runs", hint)
        elif site is not None and site.kind != "local" and at.sound_here:
            message = f"{site.name} is no local site: its provider has a store of its own"
            at.wrong("store-kind", message, "write provider: and endpoint: instead of site:")
        return _local_endpoint(site) if site is not None else ""
    if not value.present and not table.optional("provider").present:
        return ""
    return _checked(table.required("endpoint", "https://s3.example.org"))


def _local_endpoint(site: Site) -> str:
    try:
        return f"http://{site.address}:{store_ports(site.address).s3}"
    except ValueError:  # no address: reported there
        return ""


def _checked(value: Value) -> str:
    text = value.text()
    if not text or not value.sound_here:
        return ""
    match = _ENDPOINT.fullmatch(text)
    if "@" in text:
        # Not shown: what stands before it is a key.
        value.wrong("bad-endpoint", "a key has no place in this file", "write https://host; the key goes into trust/")
        return ""
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        value.wrong("bad-endpoint", f"{clipped(text)} is no endpoint", "write https://host or https://host:port")
        return ""
    if match["scheme"] == "http" and not _loopback(match["host"]):
        message = "http is for loopback: without TLS anybody on the way can read along and change what is read"
        value.wrong("bad-endpoint", message, f"write https://{text.removeprefix('http://')}")
        return ""
    return text


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_twice(stores: tuple[StorePlace, ...], problems: Problems) -> None:
    """Names, sites, buckets: the later one in the file is the one to change."""
    names: dict[str, int] = {}
    homes: dict[str, int] = {}
    buckets: dict[tuple[str, str], int] = {}
    for index, store in enumerate(stores):
        path = (*_TOP, f"[{index}]")
        if store.name and problems.sound(*path, "name"):
            first = names.setdefault(store.name, index)
            if first != index:
                message = f"{store.name} is the name of stores[{first}] already"
                problems.error("store-twice", (*path, "name"), message, "give each store a name of its own")
        if store.site and problems.sound(*path, "site"):
            first = homes.setdefault(store.site, index)
            if first != index:
                message = f"{store.site} runs stores[{first}] already, and a site runs one store"
                problems.error("store-twice", (*path, "site"), message, "remove one of the two")
                continue
        if store.endpoint and store.bucket and problems.sound(*path, "bucket"):
            first = buckets.setdefault((store.endpoint, store.bucket), index)
            if first != index:
                message = f"stores[{first}] is this bucket already: one copy would be counted as two"
                problems.error("store-twice", (*path, "bucket"), message, "remove one of the two")


def _check_providers(stores: tuple[StorePlace, ...], problems: Problems) -> None:
    known = all(
        problems.sound(*_TOP, f"[{index}]", part) for index in range(len(stores)) for part in ("site", "provider")
    )
    if not known or not all(store.provider for store in stores):
        return
    held = Counter(store.provider for store in stores)
    if len(held) < QUORUM:
        which = "the one store is" if len(stores) == 1 else f"all {len(stores)} stores are"
        message = f"{which} at provider {stores[0].provider}: what is kept there is lost with it"
        hint = "add a store at another provider"
        problems.error("stores-few", _TOP, message, hint, at_key=True, spoils=())
        return
    for provider, count in held.items():
        if count > 1:
            names = " and ".join(store.name for store in stores if store.provider == provider)
            message = f"{names} share provider {provider}: they are lost together and count as one"
            problems.warning("stores-share", _TOP, message, "fine if meant", at_key=True)


def _check_sockets(fleet: Fleet, store: StorePlace, index: int, problems: Problems) -> None:
    """What listens at the store's site, and its name there."""
    site = fleet.site(store.site)
    if not problems.sound("sites", site.name) or not site.address:
        return
    taken = msgspec.structs.astuple(store_ports(site.address))
    for name in site.ports.__struct_fields__:
        if getattr(site.ports, name) in taken:
            message = f"{getattr(site.ports, name)} is a port of store {store.name} ({taken[0]} to {taken[-1]})"
            problems.error("port-taken", ("sites", site.name, "ports", name), message, "write another port")
    for service in fleet.app.services:
        path = ("app", "services", service.name)
        if service.port in taken and problems.sound(*path, "port"):
            message = f"{service.port} is a port of store {store.name} at {site.name} ({taken[0]} to {taken[-1]})"
            problems.error("port-taken", (*path, "port"), message, "write another port, as 9001")
        if service.name == STORE_SERVICE and problems.sound(*path):
            message = f"{STORE_SERVICE} is what the agent calls store {store.name}"
            problems.error("reserved-name", path, message, "write another name, as app-store", at_key=True)
