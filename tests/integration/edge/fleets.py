"""Fleets and secrets for tests of what HostSpecs make: three local sites on one /24 of loopback each."""

from __future__ import annotations

from failover.model.fleet import App, Dns, Fleet, Role, Service, Site
from failover.model.secret import FleetSecrets, Secret

ZONE, NAME = "app.test", "www.app.test"


def three_sites(block: str, **of_fleet: object) -> Fleet:
    """``block`` "127.85.7": alpha (data) .1, beta (data) .2, gamma (witness) .3."""
    values: dict[str, object] = {
        "name": "tests",
        "preferred": "alpha",
        "sites": (
            Site(name="alpha", provider="north", role=Role.DATA, address=f"{block}.1", dns=True),
            Site(name="beta", provider="south", role=Role.DATA, address=f"{block}.2", dns=True),
            Site(name="gamma", provider="west", role=Role.WITNESS, address=f"{block}.3"),
        ),
        "app": App(
            name="app",
            migrate=("python", "-m", "app.migrate"),
            services=(
                Service(name="web-1", command=("python", "-m", "app"), port=9001),
                Service(name="web-2", command=("python", "-m", "app"), port=9002),
                Service(name="worker", command=("python", "-m", "app.worker")),
            ),
        ),
        "dns": Dns(zone=ZONE, name=NAME),
    }
    return Fleet(**(values | of_fleet))  # type: ignore[arg-type]


def secrets() -> FleetSecrets:
    """Texts that are easy to find where they must not be."""
    return FleetSecrets(
        app_password=Secret("app-p@ss/word%"),
        replication_password=Secret("replication-password"),
        keeper_password=Secret("keeper-password"),
        dns_api_keys={"alpha": Secret("dns-key-alpha"), "beta": Secret("dns-key-beta")},
        bootstrap_tokens={},
        pulumi_passphrase=Secret("pulumi-passphrase"),
    )
