"""Laws F and G: disks that fill, approvals that match, and what a host may know and be told."""

from __future__ import annotations

import hashlib
import time
from unittest.mock import patch

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from failover.errors import Denied
from failover.model.plan import Plan
from failover.model.secret import FleetSecrets, Secret
from failover.planner import switchover
from failover.planner.hostspec import host_spec
from failover.trust.ca import Authority, new_key_pem, request_pem
from failover.trust.signatures import Signer, Statement, Verifier
from tests.fakes.hosts import agent, fleet, record, seen
from tests.fakes.wired import SECRETS
from tests.laws.acknowledged import fixed
from tests.laws.law import law
from tests.laws.world import World

_ALLOWED_MB = 90


@law("F3", "the slot of a standby that does not come back keeps WAL without an end")
async def slot_fills_the_disk(world: World, kept: bool) -> list[str]:
    with patch.dict("failover.adapters.postgres_config._FIXED", {"max_slot_wal_keep_size": "16MB"}), \
            fixed(kept, "max_slot_wal_keep_size", "-1"):  # fmt: skip
        await world.start(names=())
        await world.b.crash()
        await world.a.ask("create table filler (t text)")
        for _ in range(15):
            await world.a.ask("insert into filler select repeat(md5(i::text), 30) from generate_series(1, 10000) i")
        await world.a.database.checkpoint()
        rows = await world.a.ask("select sum(size) / 1024 / 1024 from pg_ls_waldir()")
    held = float(str(rows[0][0]))
    if held > _ALLOWED_MB:
        world.findings.append(f"a standby that is gone holds {held:.0f} MB of WAL, and it grows")
    return list(world.findings)


@law("F4", "the digest that is approved covers measured values")
async def approval_of_measured_values(world: World, kept: bool) -> list[str]:
    await world.start()
    first, later = _plan(1000), _plan(2000)  # the same fleet, a second later

    def digest(plan: Plan) -> str:
        whole = msgspec.json.encode((plan.verb, plan.steps, plan.measured))
        return plan.digest if kept else hashlib.sha256(whole).hexdigest()[:12]

    if digest(first) != digest(later):
        world.findings.append("a plan approved a second ago is another plan now: nobody can ever approve one")
    return await world.verdict()


def _plan(position: int) -> Plan:
    now = record()
    primary = agent("alpha", now)
    moved = msgspec.structs.replace(primary, database=msgspec.structs.replace(primary.database, position=position))
    plan = switchover.plan(fleet(), seen(now, alpha=moved), switchover.SwitchoverAsk(to="beta"))
    assert isinstance(plan, Plan), plan
    return plan


@law("G2", "a host's own key may sign what only an operator may order")
async def hold_signed_by_a_host(world: World, kept: bool) -> list[str]:
    authority = Authority.create(world.folder / "trust", fleet="f")
    key = new_key_pem()
    leaf = authority.issue(request_pem(key, common_name="beta"), common_name="beta", address="127.0.0.1")
    order = Signer(key_pem=key, certificate_pem=leaf).sign(_statement(time.time() + 60))
    verifier = Verifier(ca_pem=authority.certificate_pem, fleet="f", site="alpha")
    with patch.object(Verifier, "_operator_key", Verifier._operator_key if kept else _anybody):
        return _taken(verifier, order, "a hold signed by the host beta is taken for an operator's")


@law("G2", "an order has no end: it can be played again for ever")
async def expired_order(world: World, kept: bool) -> list[str]:
    folder = world.folder / "trust"
    Authority.create(folder, fleet="f").issue_operator()
    signer = Signer(key_pem=(folder / "operator.key").read_text(),
                    certificate_pem=(folder / "operator.pem").read_text())  # fmt: skip
    order = signer.sign(_statement(time.time() - 3600 if kept else time.time() + 1e9))
    verifier = Verifier(ca_pem=(folder / "ca.pem").read_text(), fleet="f", site="alpha")
    return _taken(verifier, order, "an order of an hour ago is still taken")


def _statement(expires_unix_s: float) -> Statement:
    return Statement(purpose="hold", fleet="f", site="alpha", serial="1", expires_unix_s=expires_unix_s, body=b"{}")


def _anybody(self: Verifier, certificate_pem: str) -> ec.EllipticCurvePublicKey:
    key = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def _taken(verifier: Verifier, order: bytes, finding: str) -> list[str]:
    try:
        verifier.open(order, purpose="hold", now_unix_s=time.time())
    except Denied:
        return []
    return [finding]


@law("G4", "a host is given secrets that are not its own")
async def secrets_of_others(world: World, kept: bool) -> list[str]:
    declared = fleet()
    forbidden = {
        "the Pulumi passphrase": _long(SECRETS.pulumi_passphrase).reveal(),
        "another site's bootstrap token": _long(SECRETS.bootstrap_tokens["beta"]).reveal(),
    }
    spec = host_spec(declared, declared.site("alpha"), _long_secrets(), serial=1)
    if not kept:
        first = spec.services[0]
        leaked = msgspec.structs.replace(
            first, environment={**first.environment, "P": forbidden["the Pulumi passphrase"]}
        )
        spec = msgspec.structs.replace(spec, services=(leaked, *spec.services[1:]))
    told = msgspec.json.encode(spec).decode()
    return [f"the spec of alpha tells {name}" for name, value in forbidden.items() if value in told]


def _long(secret: Secret) -> Secret:
    """The fakes' one-letter secrets would be found in any text."""
    return Secret(secret.reveal() * 8)


def _long_secrets() -> FleetSecrets:
    return FleetSecrets(
        app_password=_long(SECRETS.app_password), replication_password=_long(SECRETS.replication_password),
        keeper_password=_long(SECRETS.keeper_password),
        dns_api_keys={site: _long(key) for site, key in SECRETS.dns_api_keys.items()},
        bootstrap_tokens={site: _long(token) for site, token in SECRETS.bootstrap_tokens.items()},
        pulumi_passphrase=_long(SECRETS.pulumi_passphrase),
    )  # fmt: skip
