"""Fleet + secrets -> HostSpec: what runs where, what is secret and where it may stand, what makes a digest move."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from failover.errors import ConfigError
from failover.model.fleet import App, AppClass, Fleet, HttpPaths, Service, Site
from failover.model.secret import FleetSecrets, Secret, StoreKey
from failover.model.spec import HostSpec, ServiceSpec
from failover.model.stores import MediaRules, SnapshotRules, StorePlace
from failover.planner.hostspec import KEEPER_OWNED, host_spec, record_endpoints
from failover.planner.hostspec_edge import STATS_SOCKET, edge_service
from infra.app.settings import StoreSettings
from tests.integration.edge.fleets import secrets, three_sites

FLEET = three_sites("127.85.0")


def spec(site: str, fleet: Fleet = FLEET, *, serial: int = 1) -> HostSpec:
    return host_spec(fleet, fleet.site(site), secrets(), serial=serial)


def service(site: str, name: str, fleet: Fleet = FLEET) -> ServiceSpec:
    return next(one for one in spec(site, fleet).services if one.name == name)


def elsewhere(fleet: Fleet = FLEET) -> Fleet:
    """The same fleet on machines of a cloud."""
    return msgspec.structs.replace(fleet, sites=tuple(msgspec.structs.replace(s, kind="aws") for s in fleet.sites))


def with_app(**changes: object) -> Fleet:
    return msgspec.structs.replace(FLEET, app=msgspec.structs.replace(FLEET.app, **changes))


@pytest.mark.parametrize(
    ("site", "names"),
    [
        ("alpha", ["etcd", "dns", "web-1", "web-2", "worker", "edge"]),
        ("beta", ["etcd", "dns", "web-1", "web-2", "worker", "edge"]),
        ("gamma", ["etcd"]),
    ],
)
def test_services_of_a_site_follow_from_its_role(site: str, names: list[str]) -> None:
    assert [one.name for one in spec(site).services] == names
    assert (spec(site).database is not None) == (site != "gamma")
    assert (spec(site).migrate is not None) == (site != "gamma")


def with_stores(**changes: object) -> Fleet:
    stores = tuple(
        StorePlace(name=name, provider=name, kind=kind, endpoint=f"http://{site}:1", bucket="demo", site=site)
        for name, kind, site in (("north", "seaweedfs", "alpha"), ("south", "rclone", "beta"))
    )
    return msgspec.structs.replace(FLEET, stores=stores, **changes)


def with_keys() -> FleetSecrets:
    keys = {name: StoreKey(access_key=name, secret=Secret(f"opens {name}")) for name in ("north", "south")}
    return msgspec.structs.replace(secrets(), store_keys=keys)


def test_a_site_runs_its_own_store_and_a_data_site_reaches_all_of_them() -> None:
    fleet = with_stores(snapshots=SnapshotRules(recipients=("age1a", "age1b")))
    at = {site.name: host_spec(fleet, site, with_keys(), serial=1) for site in fleet.sites}
    commands = {name: [one.command[0] for one in spec.services if one.name == "store"] for name, spec in at.items()}
    assert commands == {"alpha": ["weed"], "beta": ["rclone"], "gamma": []}
    names = {site: [store.place.name for store in spec.stores] for site, spec in at.items()}
    assert names["alpha"] == names["beta"] == list(KEYED)
    assert at["beta"].stores[0].key() == with_keys().store_keys["north"]
    assert "opens" not in repr(at["beta"])
    assert at["alpha"].recipients == ("age1a", "age1b")
    assert (at["gamma"].stores, at["gamma"].recipients) == ((), ())
    database = at["alpha"].database
    assert database is not None and database.settings["summarize_wal"] == "on"


def test_the_app_is_given_the_stores_nearest_first_and_only_where_media_are_declared() -> None:
    fleet = with_stores(media=MediaRules(keep_removed_s=86400))
    for site, order in (("alpha", ["north", "south"]), ("beta", ["south", "north"])):
        found = next(
            one for one in host_spec(fleet, fleet.site(site), with_keys(), serial=1).services if one.name == "web-1"
        )
        (file,) = (file for file in found.files if file.path.endswith("media-stores.json"))
        places = json.loads(file.text)
        assert [place["name"] for place in places] == order
        assert file.mode == 0o600
        assert found.environment["APP_MEDIA_STORES_FILE"] == "{host}/" + file.path
        assert found.environment["APP_MEDIA_PREFIX"] == f"{fleet.name}/media/"
        assert found.environment["APP_MEDIA_TOMBSTONE_S"] == "86400"
        assert not any("opens" in value for value in found.environment.values())
        assert [place.name for place in msgspec.json.decode(file.text, type=tuple[StoreSettings, ...])] == order
    plain = {site.name: host_spec(with_stores(), site, with_keys(), serial=1) for site in FLEET.sites}
    assert not [
        one.name
        for spec in plain.values()
        for one in spec.services
        if "APP_MEDIA_STORES_FILE" in one.environment or any("media" in file.path for file in one.files)
    ]
    assert {site.name: spec(site.name, with_stores(media=MediaRules())).digest() for site in FLEET.sites} == {
        site.name: spec(site.name).digest() for site in FLEET.sites
    }


def test_a_store_whose_key_is_not_here_changes_nothing_and_a_fleet_without_stores_is_as_ever() -> None:
    """Then a move's verdict is the one of before; deploy asks for the key first."""
    plain = {site.name: spec(site.name).digest() for site in FLEET.sites}
    assert {site.name: spec(site.name, with_stores()).digest() for site in FLEET.sites} == plain
    assert b"stores" not in msgspec.json.encode(spec("alpha")) and b"recipients" not in msgspec.json.encode(
        spec("alpha")
    )
    assert "summarize_wal" not in msgspec.json.encode(spec("alpha")).decode()


KEYED = ("north", "south")


def test_no_voter_no_etcd_and_no_etcd_no_endpoints() -> None:
    sites = tuple(msgspec.structs.replace(site, voter=site.name != "beta") for site in FLEET.sites)
    fleet = msgspec.structs.replace(FLEET, sites=sites)
    assert "etcd" not in [one.name for one in spec("beta", fleet).services]
    assert spec("beta", fleet).record_endpoints == ("https://127.85.0.3:2379", "https://127.85.0.1:2379")
    assert record_endpoints(msgspec.structs.replace(FLEET, record="sqlite")) == ()


def test_the_own_voter_is_asked_first_then_the_witness_and_no_other_data_site() -> None:
    asked = {site.name: [url.split(".")[-1] for url in spec(site.name).record_endpoints] for site in FLEET.sites}
    assert asked == {"alpha": ["1:2379", "3:2379"], "beta": ["2:2379", "3:2379"], "gamma": ["3:2379"]}


def test_peers_are_all_others() -> None:
    peers = {peer.site: peer for peer in spec("alpha").peers}
    assert set(peers) == {"beta", "gamma"}
    assert (peers["beta"].database_port, peers["beta"].edge_forward_port) == (5432, 8081)
    assert (peers["gamma"].database_port, peers["gamma"].edge_forward_port) == (0, 0)


def test_equal_arguments_give_equal_bytes_and_serial_is_outside_the_digest() -> None:
    assert msgspec.json.encode(spec("alpha")) == msgspec.json.encode(spec("alpha"))
    assert spec("alpha", serial=1).digest() == spec("alpha", serial=2).digest()
    assert spec("alpha").digest() != spec("beta").digest()


def test_an_app_change_leaves_the_database_part_alone() -> None:
    services = (*FLEET.app.services, Service(name="web-3", command=("python",), port=9003))
    before, after = spec("alpha"), spec("alpha", with_app(services=services))
    assert before.digest() != after.digest()
    assert before.database is not None
    assert after.database is not None
    assert before.database.digest() == after.database.digest()


def test_a_password_stands_in_private_files_and_the_database_part_only() -> None:
    texts = ["app-p@ss", "app-p%40ss", "replication-password", "keeper-password", "dns-key", "passphrase"]
    for site in FLEET.sites:
        whole = spec(site.name)
        for one in (*whole.services, *([whole.migrate] if whole.migrate else [])):
            shown = json.dumps([one.command, one.environment]) + repr(one) + repr(whole)
            assert not any(text in shown for text in texts)
            holds_secret = [file for file in one.files if any(text in file.text for text in texts)]
            assert all(file.mode == 0o600 for file in holds_secret)


def test_a_host_holds_only_its_own_dns_key() -> None:
    assert "dns-key-alpha" in service("alpha", "dns").files[0].text
    assert "dns-key-beta" not in msgspec.json.encode(spec("alpha")).decode()
    assert "dns-key" not in msgspec.json.encode(spec("gamma")).decode()


def test_a_dns_site_without_a_key_is_refused() -> None:
    keyless = msgspec.structs.replace(secrets(), dns_api_keys={})
    with pytest.raises(ConfigError, match="no DNS API key"):
        host_spec(FLEET, FLEET.site("alpha"), keyless, serial=1)


def test_no_machine_path_stands_in_a_spec() -> None:
    for site in FLEET.sites:
        for one in spec(site.name).services:
            assert "/" not in one.command[0]
            assert all(not word.startswith("/") for word in one.command)
            assert all(not value.startswith("/") for value in one.environment.values())
            assert all(not file.path.startswith("/") for file in one.files)


def test_the_app_is_wired_to_both_databases_its_own_first() -> None:
    web = service("beta", "web-1")
    assert web.environment["APP_SITE"] == "beta"
    assert web.environment["APP_LISTEN"] == "127.85.0.2:9001"
    assert web.environment["APP_DATABASES_FILE"] == "{host}/run/databases.json"
    assert web.environment["APP_GATE_SOCKET"] == "{host}/" + web.gate
    assert web.gate == "run/web-1.gate"
    assert web.ready is not None
    assert (web.ready.address, web.ready.port, web.ready.http_path) == ("127.85.0.2", 9001, "/health")
    [file] = web.files
    urls = json.loads(file.text)
    assert list(urls) == ["beta", "alpha"]
    parts = urlsplit(urls["alpha"])
    assert (parts.hostname, parts.port, parts.path, parts.username) == ("127.85.0.1", 5432, "/app", "app")
    assert unquote(parts.password or "") == "app-p@ss/word%"
    assert parse_qs(parts.query)["sslmode"] == ["disable"]


def test_between_providers_the_wire_is_encrypted_and_the_server_signed() -> None:
    urls = json.loads(service("alpha", "web-1", elsewhere()).files[0].text)
    query = parse_qs(urlsplit(urls["beta"]).query)
    assert query["sslmode"] == ["verify-ca"]
    assert query["sslrootcert"] == ["{host}/trust/ca.pem"]


def test_in_a_cloud_services_listen_on_the_machine_and_are_known_by_the_public_address() -> None:
    fleet = elsewhere()
    etcd = service("alpha", "etcd", fleet).command
    assert "--listen-peer-urls=https://0.0.0.0:2380" in etcd
    assert "--initial-advertise-peer-urls=https://127.85.0.1:2380" in etcd
    assert "--experimental-peer-skip-client-san-verification=true" not in etcd
    assert "source" not in edge_service(fleet, fleet.site("alpha")).files[0].text


def test_a_worker_has_a_gate_and_nothing_to_connect_to() -> None:
    worker = service("alpha", "worker")
    assert worker.ready is None
    assert "APP_LISTEN" not in worker.environment
    assert worker.environment["APP_GATE_SOCKET"] == "{host}/run/worker.gate"
    assert "worker" not in service("alpha", "edge").files[0].text


def test_a_process_without_gate_gets_none() -> None:
    plain = Service(name="web", command=("python",), port=9001, gate=False, start="when_primary")
    web = service("alpha", "web", with_app(services=(plain,)))
    assert web.gate == ""
    assert "APP_GATE_SOCKET" not in web.environment
    assert web.start == "when_primary"


def test_an_app_that_is_not_ours_finds_its_own_sites_database_in_variables_of_its_own() -> None:
    web = Service(
        name="web", command=("/opt/app", "--listen", "{address}:{port}"), port=9001, gate=False, start="when_primary",
        environment={"MINE": "{database_url}", "JSON": '{"a": 1}'},
    )  # fmt: skip
    worker = Service(name="worker", command=("/opt/worker",), gate=False, start="when_primary")
    app = {"promise": AppClass.G3, "services": (web, worker), "environment": {"PGPASSWORD": "{database_password}"}}
    for site in ("alpha", "beta"):
        fleet, place = with_app(**app), FLEET.site(site)
        found = service(site, "web", fleet)
        url = urlsplit(found.environment["MINE"])
        assert (url.hostname, url.port, url.path, url.query) == (place.address, place.ports.postgres, "/app", "")
        assert unquote(url.password or "") == found.environment["PGPASSWORD"] == "app-p@ss/word%"
        assert found.environment["JSON"] == '{"a": 1}'
        assert found.command == ("/opt/app", "--listen", f"{place.address}:9001")
        assert list(json.loads(found.files[0].text)) == [site]
        assert (found.stops_for_a_move, service(site, "worker", fleet).stops_for_a_move) == (False, True)
        assert "word%" not in repr(found)
        assert spec(site, fleet).migrate.environment["PGPASSWORD"]  # type: ignore[union-attr]


def test_the_edge_of_an_app_without_a_gate_is_its_gate() -> None:
    web = Service(name="web", command=("/opt/app",), port=9001, gate=False)
    paths = HttpPaths(streams=("/live",), slow=("/poll",))
    edge = service("alpha", "edge", with_app(promise=AppClass.G3, services=(web,), http=paths))
    assert edge.gate == STATS_SOCKET
    text = edge.files[0].text
    assert "use_backend hold-stream if { path_beg /live }" in text
    assert "use_backend hold-slow if { path_beg /poll }" in text
    assert service("alpha", "edge").gate == ""
    assert "frontend inner" not in service("alpha", "edge").files[0].text


def test_an_operators_variable_never_cuts_a_process_off() -> None:
    mine = Service(name="web", command=("python",), environment={"APP_SITE": "nowhere", "APP_LOG_LEVEL": "INFO"})
    web = service("alpha", "web", with_app(services=(mine,)))
    assert web.environment["APP_SITE"] == "alpha"
    assert web.environment["APP_LOG_LEVEL"] == "INFO"


def test_the_migration_runs_at_its_own_sites_database_without_a_gate() -> None:
    migrate = spec("beta").migrate
    assert migrate is not None
    assert migrate.command == FLEET.app.migrate
    assert "APP_GATE_SOCKET" not in migrate.environment
    assert next(iter(json.loads(migrate.files[0].text))) == "beta"


def test_an_operators_database_setting_wins_and_a_keepers_is_refused() -> None:
    database = spec("alpha", with_app(settings={"shared_buffers": "1GB"})).database
    assert database is not None
    assert database.settings["shared_buffers"] == "1GB"
    assert not KEEPER_OWNED & set(database.settings)
    with pytest.raises(ConfigError, match="synchronous_standby_names"):
        spec("alpha", with_app(settings={"Synchronous_Standby_Names": ""}))


def test_one_edge_has_one_health_path() -> None:
    services = tuple(Service(name=f"web-{n}", command=("python",), port=9000 + n, health=f"/{n}") for n in (1, 2))
    with pytest.raises(ConfigError, match="different health paths"):
        spec("alpha", with_app(services=services))


def test_a_single_data_site_has_an_edge_too() -> None:
    alone = msgspec.structs.replace(FLEET, sites=(FLEET.site("alpha"), FLEET.site("gamma")))
    assert "server primary 127.85.0.1:8081 check" in edge_service(alone, alone.site("alpha")).files[0].text


def test_an_app_without_services_is_possible() -> None:
    fleet = msgspec.structs.replace(FLEET, app=App(name="empty"))
    assert [one.name for one in spec("alpha", fleet).services] == ["etcd", "dns", "edge"]
    assert spec("alpha", fleet).migrate is None


def test_ready_is_asked_where_the_site_is_reached() -> None:
    ports = {"etcd": 2379, "dns": 8053, "edge": 8080}
    site: Site = FLEET.site("alpha")
    for name, port in ports.items():
        ready = service("alpha", name).ready
        assert ready is not None
        assert (ready.address, ready.port) == (site.address, port)


def test_an_app_behind_a_hold_has_time_to_answer_its_check_after_all_who_were_held() -> None:
    """A store with a few threads answered it after 180 requests, was found dead, and all of them were refused."""
    services = tuple(msgspec.structs.replace(one, gate=False) for one in FLEET.app.services)
    held = service("alpha", "edge", with_app(promise=AppClass.G3, services=services)).files[0].text
    assert "\n  timeout check 15s\n" in held.partition("backend app")[2]
    assert "\n  timeout check 2s\n" in service("alpha", "edge").files[0].text.partition("backend app")[2]
