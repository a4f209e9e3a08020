"""Judges who is where: no single provider may hold both copies of the data, or most of the votes.

What must never be here: addresses and ports (``sockets``). A comparison in which any part is spoilt is left out.
"""

from __future__ import annotations

from collections import Counter

from failover.config.names import did_you_mean
from failover.config.problems import Problems, clipped
from failover.model.fleet import Role, Site

_SITES = ("sites",)


def check_placement(sites: tuple[Site, ...], record: str, problems: Problems) -> None:
    """Data, votes and DNS are spread so that the loss of any one provider is survived."""
    if not problems.sound(*_SITES) or not sites:
        return
    known = {part: all(problems.sound("sites", site.name, part) for site in sites) for part in _PARTS}
    if known["role"]:
        _check_data(sites, problems)
        _check_witness(sites, record, problems)
    if known["voter"] and problems.sound("record"):
        _check_voters(sites, record, problems)
    if known["dns"]:
        _check_dns(sites, problems)


_PARTS = ("role", "voter", "dns")


def check_preferred(preferred: str, sites: tuple[Site, ...], problems: Problems) -> None:
    """``preferred`` names a site that has data."""
    path = ("preferred",)
    if not problems.sound(*path) or not problems.sound(*_SITES):
        return
    data = tuple(site.name for site in sites if site.role is Role.DATA)
    known = {site.name: site for site in sites}
    if preferred not in known:
        hint = did_you_mean(preferred, data) or ("write " + " or ".join(data) if data else "")
        problems.error("unknown-site", path, f"there is no site {clipped(preferred)}", hint)
    elif preferred not in data and problems.sound("sites", preferred, "role"):
        hint = "write " + " or ".join(data) if data else f"give {preferred} role: data"
        problems.error("preferred-witness", path, f"{preferred} is a witness and holds no data", hint)


def _check_data(sites: tuple[Site, ...], problems: Problems) -> None:
    data = [site for site in sites if site.role is Role.DATA]
    if len(data) < 2:
        count = "no site has" if not data else f"only {data[0].name} has"
        hint = "give a site at another provider role: data"
        problems.error(
            "data-sites-few", _SITES, f"{count} data: there is nothing to fail over to", hint, at_key=True, spoils=()
        )
        return
    for extra in data[2:]:
        path = ("sites", extra.name, "role")
        message = f"a third copy of the data is not built yet ({data[0].name} and {data[1].name} have the first two)"
        problems.error("not-built", path, message, "write role: witness")
    first, second = data[0], data[1]
    if _provider_known(first, problems) and _provider_known(second, problems) and first.provider == second.provider:
        message = f"both data sites are at provider {first.provider}: it can switch off both at once"
        hint = f"move {first.name} or {second.name} to another provider"
        problems.error("data-one-provider", ("sites", second.name, "provider"), message, hint)


def _check_witness(sites: tuple[Site, ...], record: str, problems: Problems) -> None:
    witnesses = [site for site in sites if site.role is Role.WITNESS]
    if not witnesses:
        message = "no site is a witness: nobody but the two copies could say which of them is gone"
        hint = "add a site at a third provider with role: witness"
        if record == "sqlite":
            problems.warning("no-witness", _SITES, message, hint, at_key=True)
        else:
            problems.error("no-witness", _SITES, message, hint, at_key=True, spoils=())
    homes = {site.provider: site for site in sites if site.role is Role.DATA and _provider_known(site, problems)}
    for witness in witnesses:
        home = homes.get(witness.provider)
        if home is not None and _provider_known(witness, problems):
            message = (
                f"the witness is at provider {home.provider}, as {home.name} is: it dies with what it should judge"
            )
            problems.error(
                "witness-provider", ("sites", witness.name, "provider"), message, "move it to another provider"
            )


def _check_voters(sites: tuple[Site, ...], record: str, problems: Problems) -> None:
    voters = [site for site in sites if site.voter]
    names = ", ".join(site.name for site in voters) or "none"
    if record == "sqlite":
        if len(voters) != 1:
            message = f"record sqlite is one file and has 1 voter, found {len(voters)} ({names})"
            hint = "write voter: false at all sites but one, or record: etcd"
            problems.error("voters-sqlite", _SITES, message, hint, at_key=True, spoils=())
        return
    if len(voters) < 3:
        count = "1 voter" if len(voters) == 1 else f"{len(voters)} voters"
        message = f"{count} ({names}): the record needs 3 to survive the loss of one"
        hint = "have a voter at each of three providers (voter: true is the default)"
        problems.error("voters-few", _SITES, message, hint, at_key=True, spoils=())
    elif len(voters) % 2 == 0:
        message = f"{len(voters)} voters ({names}): an even number survives no more losses than one voter fewer"
        hint = "write voter: false at one site, or add a site"
        problems.error("voters-even", _SITES, message, hint, at_key=True, spoils=())
    if all(_provider_known(site, problems) for site in voters):
        _check_majority(voters, problems)


def _check_majority(voters: list[Site], problems: Problems) -> None:
    held = Counter(site.provider for site in voters)
    for provider, count in held.items():
        if count < 2:
            continue
        names = " and ".join(site.name for site in voters if site.provider == provider)
        last = [site for site in voters if site.provider == provider][-1]
        path = ("sites", last.name, "provider")
        if count * 2 > len(voters):
            message = f"{count} of {len(voters)} voters ({names}) are at provider {provider}: the record dies with it"
            problems.error("voters-majority", path, message, "have each voter at a provider of its own")
        else:
            message = f"the voters {names} share provider {provider} and are lost together"
            problems.warning("voters-share", path, message, "have each voter at a provider of its own")


def _check_dns(sites: tuple[Site, ...], problems: Problems) -> None:
    serving = [site for site in sites if site.dns]
    if not all(_provider_known(site, problems) for site in serving):
        return
    providers = sorted({site.provider for site in serving})
    if len(providers) >= 2:
        return
    who = f"only provider {providers[0]} serves" if providers else "no site serves"
    message = f"{who} the app's name: it would go dark with its DNS, though the app lives"
    problems.warning("dns-one-provider", _SITES, message, "write dns: true at sites of two providers", at_key=True)


def _provider_known(site: Site, problems: Problems) -> bool:
    return problems.sound("sites", site.name, "provider")
