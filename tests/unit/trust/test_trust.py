"""Who may change what: certificates, signed statements, enrolment, secrets. All in memory or below tmp_path."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from failover.errors import Damaged, Denied, UsageError
from failover.model.secret import Secret
from failover.trust import enrolment
from failover.trust.ca import Authority, load_key, new_key_pem, request_pem
from failover.trust.secrets import create_secrets, load_secrets, passphrase_file
from failover.trust.signatures import Envelope, Signer, Statement, Verifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trust")
    Authority.create(place, fleet="f").issue_operator()
    return place


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def operator(folder: Path) -> Signer:
    return Signer(key_pem=(folder / "operator.key").read_text(), certificate_pem=(folder / "operator.pem").read_text())


def statement(**changes: object) -> Statement:
    base = Statement(purpose="hold", fleet="f", site="alpha", serial="1", expires_unix_s=100.0, body=b"{}")
    return msgspec.structs.replace(base, **changes)


def verifier(authority: Authority) -> Verifier:
    return Verifier(ca_pem=authority.certificate_pem, fleet="f", site="alpha")


def test_keys_are_readable_by_their_owner_only(folder: Path) -> None:
    for name in ("ca.key", "operator.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_a_ca_is_never_replaced(folder: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        Authority.create(folder, fleet="f")


def test_a_leaf_is_for_its_address_and_both_ends_of_tls(authority: Authority) -> None:
    leaf = x509.load_pem_x509_certificate(
        authority.issue(request_pem(new_key_pem(), common_name="x"), common_name="beta", address="127.9.0.1").encode()
    )
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.9.0.1"]
    assert len(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == 2


def test_a_request_that_is_none_is_denied(authority: Authority) -> None:
    with pytest.raises(Denied):
        authority.issue("nonsense", common_name="beta")


def test_a_key_that_is_none_is_damage() -> None:
    with pytest.raises(Damaged):
        load_key("nonsense")


def test_an_operators_statement_opens(authority: Authority, operator: Signer) -> None:
    opened = verifier(authority).open(operator.sign(statement()), purpose="hold", now_unix_s=99.0)
    assert opened == statement()


@pytest.mark.parametrize(
    "changes", [{"purpose": "spec"}, {"site": "beta"}, {"fleet": "other"}, {"expires_unix_s": 98.0}]
)
def test_a_statement_for_anything_else_is_denied(
    authority: Authority, operator: Signer, changes: dict[str, object]
) -> None:
    with pytest.raises(Denied):
        verifier(authority).open(operator.sign(statement(**changes)), purpose="hold", now_unix_s=99.0)


def test_a_changed_statement_is_denied(authority: Authority, operator: Signer) -> None:
    envelope = msgspec.json.decode(operator.sign(statement()), type=Envelope)
    forged = msgspec.structs.replace(envelope, statement=msgspec.json.encode(statement(body=b'{"x":1}')))
    with pytest.raises(Denied, match="signature"):
        verifier(authority).open(msgspec.json.encode(forged), purpose="hold", now_unix_s=99.0)


def test_a_host_of_the_fleet_may_not_change_anything(authority: Authority) -> None:
    key = new_key_pem()
    certificate = authority.issue(request_pem(key, common_name="beta"), common_name="beta", address="127.9.0.1")
    host = Signer(key_pem=key, certificate_pem=certificate)
    with pytest.raises(Denied, match="not an operator"):
        verifier(authority).open(host.sign(statement()), purpose="hold", now_unix_s=99.0)


def test_an_operator_of_another_fleet_is_denied(authority: Authority, tmp_path: Path) -> None:
    Authority.create(tmp_path, fleet="f").issue_operator()
    stranger = Signer(
        key_pem=(tmp_path / "operator.key").read_text(), certificate_pem=(tmp_path / "operator.pem").read_text()
    )
    with pytest.raises(Denied, match="not of this fleet"):
        verifier(authority).open(stranger.sign(statement()), purpose="hold", now_unix_s=99.0)


def test_enrolment_proves_both_sides_and_its_messages_cannot_stand_for_each_other() -> None:
    token, other = Secret("one"), Secret("two")
    greeting = enrolment.hello(token)
    answer = enrolment.answer(token, greeting, "CSR")
    assert enrolment.accept(token, greeting, answer) == "CSR"
    grant = enrolment.grant(token, greeting, "CERT")
    assert enrolment.receive(token, grant) == "CERT"
    with pytest.raises(Denied):
        enrolment.answer(other, greeting, "CSR")
    with pytest.raises(Denied):
        enrolment.accept(token, enrolment.hello(token), answer)
    with pytest.raises(Denied):
        enrolment.receive(token, msgspec.structs.replace(grant, certificate_pem="OTHER"))
    with pytest.raises(Denied):
        enrolment.receive(token, enrolment.Grant(nonce=greeting.nonce, certificate_pem="CSR", mac=answer.mac))


def test_secrets_are_made_once_and_missing_ones_are_named_together(tmp_path: Path) -> None:
    create_secrets(tmp_path, sites=["alpha"], dns_sites=["alpha"])
    before = load_secrets(tmp_path, sites=["alpha"], dns_sites=["alpha"])
    create_secrets(tmp_path, sites=["alpha"], dns_sites=["alpha"])
    assert load_secrets(tmp_path, sites=["alpha"], dns_sites=["alpha"]) == before
    assert stat.S_IMODE(passphrase_file(tmp_path).stat().st_mode) == 0o600
    (tmp_path / "keeper_password").unlink()
    (tmp_path / "dns_api_key.alpha").unlink()
    with pytest.raises(UsageError, match=r"keeper_password.*dns_api_key\.alpha"):
        load_secrets(tmp_path, sites=["alpha"], dns_sites=["alpha"])


def test_a_secret_never_prints() -> None:
    secret = Secret("hunter2")
    shown = (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", f"{[secret]}")
    assert all("hunter2" not in text and "redacted" in text for text in shown)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
