"""What is declared -> what runs. One lane per site, so that a provider that does not answer stops only its own. Pure.

What must never be here: creating data. A record that is missing while a site holds a data directory is a refusal:
an empty database beside the real one once was the whole loss.
"""

from __future__ import annotations

import msgspec

from failover.model.finding import Finding
from failover.model.fleet import PROMISE, Fleet, Role, Site
from failover.model.observation import FleetSeen
from failover.model.plan import (
    ApplyBucket,
    ApplyStack,
    AwaitServing,
    CreateRecord,
    Enrol,
    Migrate,
    Plan,
    PutSpec,
    Refusal,
    Step,
)
from failover.model.units import MemberId, is_member_id, site_of
from failover.planner import preflight
from failover.planner.byhand import NOTHING, ByHand
from failover.planner.deploy_store import bucket_steps, runs_store
from failover.planner.dns_steps import dns_steps
from failover.planner.switchover_steps import await_primary, protected

LANE = "fleet"
STACK_TIMEOUT_S = 600.0
BIRTH_TIMEOUT_S = 90.0


class DeployAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``sites``: only these (empty: all). ``member``: the id that the first copy of a new fleet will have.
    ``specs``: digest of the HostSpec wanted at each site. ``born_before``: this operator's side once created the
    fleet's record, so one that cannot be read is not one that never was. ``keyless``: stores whose key is not here."""

    sites: tuple[str, ...] = ()
    member: MemberId
    specs: dict[str, str]
    born_before: bool = False
    keyless: tuple[str, ...] = ()


def plan(fleet: Fleet, seen: FleetSeen, ask: DeployAsk) -> Plan | Refusal:
    """Stacks, hosts and specs per site; a birth where there is no record yet; then wait until all of it holds.

    A fleet that had a record which cannot be read now (every host was off) gets its hosts back and nothing else: who
    is primary is known only then, and the caller plans again."""
    chosen = tuple(site for site in fleet.sites if not ask.sites or site.name in ask.sites)
    found = check(fleet, seen, ask)
    if preflight.errors(found):
        return Refusal(verb="deploy", summary="deploy is refused; nothing was changed", findings=found)
    born = seen.record is not None
    primary = seen.record.primary_site if seen.record is not None else fleet.preferred
    steps: list[Step] = []
    for site in chosen:
        steps.extend(_site_steps(fleet, seen, site, ask.specs[site.name]))
    if not born and ask.born_before:
        return Plan(
            verb="deploy",
            summary=f"bring the hosts of {fleet.name} back; who is primary is known once its record answers",
            steps=tuple(steps),
            measured=_measured(fleet, seen),
        )
    if not born:
        steps.append(_create(fleet, ask.member, after=_data_hosts(fleet, steps)))
    waits = _fleet_steps(fleet, chosen, primary, steps)
    steps.extend(bucket_steps(fleet, chosen, steps))
    steps.extend(waits)
    names = ", ".join(site.name for site in chosen)
    return Plan(
        verb="deploy",
        summary=f"bring {names} to what {fleet.name} declares" + ("" if born else "; a new fleet is born"),
        steps=tuple(steps),
        promise=PROMISE[fleet.app.promise],
        measured=_measured(fleet, seen),
        needs_fleet_lease=True,
    )


def check(fleet: Fleet, seen: FleetSeen, ask: DeployAsk) -> tuple[Finding, ...]:
    """Everything that speaks against it."""
    names = tuple(site.name for site in fleet.sites)
    found = [
        preflight.error("unknown-site", f"there is no site {name}", f"sites: {', '.join(names)}", site=name)
        for name in ask.sites
        if name not in names
    ]
    found.extend(
        preflight.error(
            "store-key-missing",
            f"no key here for store {name}",
            f"put what its provider gave you into trust/store_access_key.{name} and trust/store_secret_key.{name}",
        )
        for name in ask.keyless
    )
    if seen.record is None:
        found.extend(_copies_without_record(seen))
        if ask.sites and set(ask.sites) != set(names):
            what = "the fleet was never deployed as a whole: its record needs a majority of all voters"
            found.append(preflight.error("not-born", what, "failover deploy"))
    if seen.record is not None:
        found.extend(preflight.no_other_move(seen.record, ""))
        if seen.record.primary_site not in names:
            what = f"the record's primary is at {seen.record.primary_site}, which the fleet file does not have"
            found.append(preflight.error("primary-not-declared", what, "put the site back into the fleet file"))
    return tuple(found)


def _copies_without_record(seen: FleetSeen) -> list[Finding]:
    """Data without a record: creating one would let an empty copy be born beside it."""
    return [
        preflight.error(
            "record-lost",
            f"{site.site} holds a copy ({site.state.database.member or 'unnamed'}) but no record can be read"
            + (f": {seen.record_error}" if seen.record_error else ""),
            "start a majority of the voters again (failover status names them); a record that is gone "
            "for good is restored from a voter's data folder (etcdctl snapshot restore), never made anew beside data",
            site=site.site,
        )
        for site in seen.sites
        if site.state is not None and site.state.database.state != "absent"
    ]


def _data_hosts(fleet: Fleet, steps: list[Step]) -> tuple[str, ...]:
    """The last step of each data site. Not the witness's: a majority of voters is enough to be born, but every site
    that could hold data must be there to say that it holds none."""
    data = {site.name for site in fleet.data_sites}
    return tuple(step.id for step in steps if step.site in data and _last_of(step, steps))


def _last_of(step: Step, steps: list[Step]) -> bool:
    return step is [other for other in steps if other.lane == step.lane][-1]


def _site_steps(fleet: Fleet, seen: FleetSeen, site: Site, digest: str) -> list[Step]:
    """The site's own lane; a failure stops this lane and no other. Enrolment and spec only where needed."""
    hand = ByHand(fleet)
    state = preflight.answers(seen, site.name)
    name = site.name
    whole = state is not None and state.spec_digest == digest and runs_store(fleet, state)
    steps = [
        Step(
            id=f"stack-{name}",
            title=f"Apply the stack of {name}" + (" with its bucket" if whole else ""),
            action=ApplyBucket(site=name) if whole else ApplyStack(site=name),
            why="refresh first, so that what vanished is made again and nothing twice",
            site=name,
            timeout_s=STACK_TIMEOUT_S,
            lane=name,
            command=hand.pulumi(name, "up --refresh"),
            check=hand.pulumi(name, "preview --refresh --expect-no-changes"),
            back=hand.pulumi(name, "destroy") + "  # only for a site that was new",
        )
    ]
    if state is None:
        steps.append(
            Step(
                id=f"enrol-{name}",
                title=f"Enrol the host of {name}",
                action=Enrol(site=name),
                why="the host's own key is signed once, proven by its one-time token",
                site=name,
                timeout_s=60.0,
                lane=name,
                command="# only failover can: the token proves both sides to each other",
                check=hand.state(name),
                back="# nothing to take back: enrolling again is silent",
            )
        )
    if state is None or state.spec_digest != digest:
        steps.append(
            Step(
                id=f"spec-{name}",
                title=f"Send the spec to {name}",
                action=PutSpec(site=name, digest=digest),
                why="the agent starts what is missing and leaves alone what is unchanged",
                site=name,
                timeout_s=30.0,
                lane=name,
                command="# only failover can: a spec is signed with the operator's key",
                check=hand.state(name) + " | grep -o '\"spec_digest\":\"[^\"]*\"'",
                back="# deploy again with the former fleet file",
            )
        )
    return steps


def _create(fleet: Fleet, member: MemberId, *, after: tuple[str, ...]) -> Step:
    hand = ByHand(fleet)
    return Step(
        id="record",
        title=f"Create the record: {site_of(member)} may be born as primary",
        action=CreateRecord(member=member),
        why="no record exists and no site holds data; only now may a keeper create an empty database",
        timeout_s=60.0,
        lane=LANE,
        after=after,
        command=hand.create(f'{{"version":1,"epoch":0,"revision":1,"primary":"{member}"}}'),
        check=hand.record(),
        back="# destroy the fleet, while it holds nothing",
    )


def _fleet_steps(fleet: Fleet, chosen: tuple[Site, ...], primary: str, before: list[Step]) -> list[Step]:
    """What is awaited once the sites have their specs: primary, migrations, protection, edges, names."""
    after = tuple(step.id for step in before if step.lane == LANE) or tuple(
        step.id for step in before if _last_of(step, before) and step.site == primary
    )
    hand = ByHand(fleet)
    # A standby may take over while the sites are made: who is primary then is as well, and the app is migrated there.
    steps = [await_primary(fleet, primary, lane=LANE, after=after, timeout_s=BIRTH_TIMEOUT_S, or_whoever=True)]
    if fleet.app.migrate:
        steps.append(
            Step(
                id="migrate",
                title=f"Migrate the app's database at {primary}",
                action=Migrate(site=primary),
                why="repeatable by the app's own table of what was applied",
                site=primary,
                timeout_s=120.0,
                lane=LANE,
                command=hand.migrate(primary),
                check=hand.psql(primary, "SELECT 1"),
                back="# the app's own way back",
            )
        )
    ready = steps[-1].id
    ends = {step.site: step.id for step in before if step.lane == step.site and _last_of(step, before)}
    # Of a site whose provider refuses nothing is waited for.
    copies = tuple(ends[site.name] for site in chosen if site.role is Role.DATA)
    steps.append(protected(fleet, lane="protect", after=(ready, *copies)))
    for site in chosen:
        if site.role is not Role.DATA:
            continue
        steps.append(
            Step(
                id=f"serving-{site.name}",
                title=f"{site.name} answers through an open gate",
                action=AwaitServing(site=site.name),
                why="a standby's edge forwards to the primary, so every edge is good for every client",
                site=site.name,
                timeout_s=90.0,
                required=site.name == primary,
                lane=f"serve-{site.name}",
                after=(ready, ends[site.name]),
                command="# wait",
                check=hand.edge(site.name),
                back=NOTHING,
            )
        )
    for step in dns_steps(fleet, primary, after=(ready,)):
        own = (ends[step.site],) if step.site in ends else ()
        steps.append(msgspec.structs.replace(step, after=(*step.after, *own)))
    return steps


def _measured(fleet: Fleet, seen: FleetSeen) -> tuple[str, ...]:
    facts = [
        f"{site.site}: {_standing(site.state.database.member) if site.state else 'no agent answers'}"
        for site in seen.sites
    ]
    if seen.record is None:
        return (*facts, "no record yet" + (f" ({seen.record_error})" if seen.record_error else ""))
    return (*facts, f"record: epoch {seen.record.epoch}, primary {seen.record.primary}")


def _standing(member: str) -> str:
    return f"agent answers, copy {member}" if is_member_id(member) else "agent answers, no copy"
