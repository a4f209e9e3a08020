"""Which addresses the names should have: never none, the primary always, only the known dead left out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from failover.model.fleet import App, Dns, Fleet, Role, Site
from failover.planner.dns import addresses_of_names, not_known_dead, primary_name, public_name, wanted_names

VERDICTS = ("up", "down", "unknown")


def fleet_of(data: int, witnesses: int, answer: str) -> Fleet:
    sites = [
        Site(
            name=f"s{number}",
            provider=f"p{number}",
            role=Role.DATA if number < data else Role.WITNESS,
            address=f"127.85.0.{number + 1}",
        )
        for number in range(data + witnesses)
    ]
    dns = Dns(zone="app.test", name="www.app.test", answer=answer)
    return Fleet(name="f", sites=tuple(sites), preferred="s0", app=App(name="app"), dns=dns)


fleets = some.builds(fleet_of, some.integers(1, 4), some.integers(0, 3), some.sampled_from(["edges", "primary"]))


@some.composite
def situations(draw: some.DrawFn) -> tuple[Fleet, str, dict[str, str]]:
    fleet = draw(fleets)
    primary = draw(some.sampled_from([site.name for site in fleet.data_sites]))
    # Not every site has a verdict, and some verdicts are about sites that are gone from the fleet.
    names = [site.name for site in fleet.sites] + ["gone"]
    return fleet, primary, draw(some.dictionaries(some.sampled_from(names), some.sampled_from(VERDICTS)))


@given(situations())
def test_never_empty_and_the_primary_always_in(situation: tuple[Fleet, str, dict[str, str]]) -> None:
    fleet, primary, verdicts = situation
    names = wanted_names(fleet, primary, not_known_dead(verdicts))
    address = fleet.site(primary).address
    assert set(names) == {"www.app.test", "primary.www.app.test"}
    assert address in names[public_name(fleet)]
    assert names[primary_name(fleet)] == (address,)


@given(situations())
def test_edges_are_the_data_sites_that_are_not_known_dead(situation: tuple[Fleet, str, dict[str, str]]) -> None:
    fleet, primary, verdicts = situation
    live = not_known_dead(verdicts)
    public = wanted_names(fleet, primary, live)[public_name(fleet)]
    if fleet.dns.answer == "primary":
        assert public == (fleet.site(primary).address,)
        return
    kept = [site for site in fleet.data_sites if site.name == primary or site.name in live]
    assert public == tuple(site.address for site in kept)
    assert all(verdicts.get(site.name) != "down" for site in kept if site.name != primary)


@given(situations(), some.data())
def test_unknown_is_not_dead(situation: tuple[Fleet, str, dict[str, str]], data: some.DataObject) -> None:
    fleet, primary, verdicts = situation
    for site in data.draw(some.sets(some.sampled_from([site.name for site in fleet.sites]))):
        verdicts[site] = "unknown"
    kept = wanted_names(fleet, primary, not_known_dead(verdicts))
    surer = wanted_names(
        fleet, primary, not_known_dead({s: "up" if v == "unknown" else v for s, v in verdicts.items()})
    )
    assert kept == surer


def test_a_witness_is_no_primary() -> None:
    with pytest.raises(ValueError, match="holds no data"):
        wanted_names(fleet_of(2, 1, "edges"), "s2", frozenset())


def test_an_unknown_site_is_no_primary() -> None:
    with pytest.raises(KeyError):
        wanted_names(fleet_of(2, 1, "edges"), "elsewhere", frozenset())


@pytest.mark.parametrize("addresses", [(), ("127.85.0.2",)])
def test_names_without_the_primary_are_refused(addresses: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="is not among"):
        addresses_of_names(fleet_of(2, 1, "edges"), addresses=addresses, primary="127.85.0.1")


def test_the_name_may_be_the_zone_itself() -> None:
    fleet = fleet_of(2, 1, "edges")
    bare = msgspec.structs.replace(fleet, dns=Dns(zone="app.test", name="app.test"))
    assert set(wanted_names(bare, "s0", frozenset())) == {"app.test", "primary.app.test"}
