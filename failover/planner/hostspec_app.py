"""The app's processes as services: environment, gate sockets, the file with every site's database. Pure.

What must never be here: a password on a command line, which ``ps`` shows to everybody, or in an environment unless the
fleet file asks for it there (an app that is not ours often knows no other way).
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec

from failover.model.fleet import AppClass, Fleet, Service, Site
from failover.model.media import media_prefix
from failover.model.secret import FleetSecrets
from failover.model.spec import File, Ready, ServiceSpec
from failover.planner.hostspec_net import LOCAL, listen_address

DATABASES_FILE = "run/databases.json"
MEDIA_FOLDER = "media"
STORES_FILE = "run/media-stores.json"
APP_ROLE = "app"
_STOP_TIMEOUT_S = 5.0


def gate_socket(service: str) -> str:
    """Where a process listens for its gate, below the host's folder. Short: a socket's path ends at 107 bytes."""
    return f"run/{service}.gate"


def app_services(fleet: Fleet, site: Site, secrets: FleetSecrets) -> tuple[ServiceSpec, ...]:
    """Every process of the app at a data site, in the order declared."""
    databases = databases_file(fleet, site, secrets)
    return tuple(_service(fleet, site, service, databases, secrets) for service in fleet.app.services)


def migrate_service(fleet: Fleet, site: Site, secrets: FleetSecrets) -> ServiceSpec:
    """The app's migrations as a command that ends. No gate: it runs at the primary, against its own site's database."""
    return ServiceSpec(
        name="migrate",
        command=_placed(site, fleet.app.migrate, port=0),
        environment={**_variables(fleet, site, {}, secrets, port=0), **_wiring(site)},
        files=(databases_file(fleet, site, secrets),),
    )


def databases_file(fleet: Fleet, site: Site, secrets: FleetSecrets) -> File:
    """Site -> libpq URL of its database, the site's own first: that is the one used where there is no gate."""
    own_first = sorted(fleet.data_sites, key=lambda other: other.name != site.name)
    if fleet.app.promise is AppClass.G3:
        own_first = [site]  # it runs where the primary is, and connections it never uses would only have to be ended
    urls = {other.name: database_url(fleet, other, secrets, from_site=site) for other in own_first}
    return File(path=DATABASES_FILE, text=msgspec.json.encode(urls).decode(), mode=0o600)


def stores_files(fleet: Fleet, site: Site, secrets: FleetSecrets) -> tuple[File, ...]:
    """The stores for media with their keys, the nearest to ``site`` first; none where media stay in the folder."""
    if not _media(fleet, secrets):
        return ()
    near = sorted(fleet.stores, key=lambda store: (store.site != site.name, store.provider != site.provider))
    places = [
        {
            "name": store.name,
            "endpoint": store.endpoint,
            "bucket": store.bucket,
            "region": store.region,
            "access_key": secrets.store_keys[store.name].access_key,
            "secret": secrets.store_keys[store.name].secret.reveal(),
        }
        for store in near
        if store.name in secrets.store_keys
    ]
    return (File(path=STORES_FILE, text=msgspec.json.encode(places).decode(), mode=0o600),)


def database_url(fleet: Fleet, at: Site, secrets: FleetSecrets, *, from_site: Site) -> str:
    """libpq URL of the app's database at ``at``. A dead or frozen peer is noticed in seconds, not in kernel hours.

    No ``target_session_attrs``: pools to the standby are opened before a move, and the gate says who serves.
    """
    options = {
        "connect_timeout": "2",
        "keepalives": "1",
        "keepalives_idle": "2",
        "keepalives_interval": "1",
        "keepalives_count": "3",
        "tcp_user_timeout": "3000",
        "gssencmode": "disable",
    }
    if at.kind == LOCAL and from_site.kind == LOCAL:
        options["sslmode"] = "disable"
    else:
        # Between providers the wire is not ours: encrypted, and only to a server the fleet's CA has signed.
        options |= {"sslmode": "verify-ca", "sslrootcert": "{host}/trust/ca.pem"}
    password = secrets.app_password.reveal()
    place = f"{at.address}:{at.ports.postgres}/{quote(fleet.app.database, safe='')}"
    return f"postgresql://{APP_ROLE}:{quote(password, safe='')}@{place}?{urlencode(options, safe='{}/')}"


def _service(fleet: Fleet, site: Site, service: Service, databases: File, secrets: FleetSecrets) -> ServiceSpec:
    # The operator's variables first: one that has a name of ours would cut the process off its gate or database.
    environment = {
        **_variables(fleet, site, service.environment, secrets, port=service.port),
        **_wiring(site),
        **_media(fleet, secrets),
    }
    if service.port:
        environment["APP_LISTEN"] = f"{listen_address(site)}:{service.port}"
    if service.gate:
        environment["APP_GATE_SOCKET"] = "{host}/" + gate_socket(service.name)
    return ServiceSpec(
        name=service.name,
        command=_placed(site, service.command, port=service.port),
        environment=environment,
        files=(databases, *stores_files(fleet, site, secrets)),
        start=service.start,
        ready=Ready(address=site.address, port=service.port, http_path=service.health) if service.port else None,
        gate=gate_socket(service.name) if service.gate else "",
        stop_timeout_s=_STOP_TIMEOUT_S,
        quiesce=_placed(site, service.quiesce, port=service.port),
        resume=_placed(site, service.resume, port=service.port),
        stops_for_a_move=fleet.app.promise is AppClass.G3 and service.stops_for_a_move,
    )


def _placed(site: Site, words: tuple[str, ...], *, port: int) -> tuple[str, ...]:
    """Words of a command with this site's place in them. Never a password: ``ps`` shows them."""
    places = {"{address}": listen_address(site), "{port}": str(port), "{site}": site.name}
    return tuple(_filled(word, places) for word in words)


def _variables(
    fleet: Fleet, site: Site, own: dict[str, str], secrets: FleetSecrets, *, port: int
) -> dict[str, str]:
    """The app's and the process's variables, filled in: an app of somebody else's reads its database from variables
    of its own. The database is the site's own: such an app runs where the primary is."""
    password = secrets.app_password.reveal()
    place = f"{site.address}:{site.ports.postgres}/{quote(fleet.app.database, safe='')}"
    secured = "" if site.kind == LOCAL else "?sslmode=require"
    places = {
        "{address}": listen_address(site),
        "{port}": str(port),
        "{site}": site.name,
        # Only what every driver knows: one takes an unknown parameter of a URL for a setting of the server.
        "{database_url}": f"postgresql://{APP_ROLE}:{quote(password, safe='')}@{place}{secured}",
        "{database_host}": site.address,
        "{database_port}": str(site.ports.postgres),
        "{database_name}": fleet.app.database,
        "{database_user}": APP_ROLE,
        "{database_password}": password,
    }
    return {name: _filled(value, places) for name, value in {**fleet.app.environment, **own}.items()}


def _filled(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(name, value)
    return text


def _wiring(site: Site) -> dict[str, str]:
    return {
        "APP_SITE": site.name,
        "APP_DATABASES_FILE": "{host}/" + DATABASES_FILE,
        "APP_MEDIA_DIR": "{host}/" + MEDIA_FOLDER,
    }


def _media(fleet: Fleet, secrets: FleetSecrets) -> dict[str, str]:
    if fleet.media is None or not any(store.name in secrets.store_keys for store in fleet.stores):
        return {}
    return {
        "APP_MEDIA_STORES_FILE": "{host}/" + STORES_FILE,
        "APP_MEDIA_PREFIX": media_prefix(fleet.name),
        "APP_MEDIA_TOMBSTONE_S": f"{fleet.media.keep_removed_s:g}",
    }
