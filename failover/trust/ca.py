"""The fleet's certificate authority: made by ``init``, its key kept on the operator's side only (safety G3).

One leaf per host, its key born on the host and signed once through enrolment; one leaf for the operator. A leaf is
valid as server and as client: agents, etcd voters and their JSON gateway all speak mutual TLS with it.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from failover.errors import Damaged, Denied, UsageError

OPERATOR = "operator"
_CA_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=365)
_CLOCK_SLACK = timedelta(hours=1)


def write_private(path: Path, text: str) -> None:
    """Write atomically with mode 0600; a reader sees the old text or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def new_key_pem() -> str:
    """A new P-256 private key, unencrypted PKCS#8."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Raises ``Damaged`` when it is not a P-256 key of ours."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except ValueError as error:
        raise Damaged("a private key cannot be read", hint="restore trust/ from its copy") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Damaged("a private key is of the wrong kind", hint="restore trust/ from its copy")
    return key


def request_pem(key_pem: str, *, common_name: str) -> str:
    """A certificate signing request for the key; the CA decides names and usage, not the request."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(load_key(key_pem), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """Issues leaves. ``folder`` holds ca.pem and ca.key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.certificate_pem = (folder / "ca.pem").read_text()
            self._key_pem = (folder / "ca.key").read_text()
        except FileNotFoundError as error:
            raise UsageError(
                f"no fleet CA in {folder}", hint="failover init --local (or restore trust/ from its copy)"
            ) from error
        self._certificate = x509.load_pem_x509_certificate(self.certificate_pem.encode())

    @staticmethod
    def create(folder: Path, *, fleet: str) -> Authority:
        """Make a new CA in ``folder``. Raises ``UsageError`` when there is one: it is never replaced by itself."""
        if (folder / "ca.key").exists():
            raise UsageError(f"{folder}/ca.key exists already", hint="remove the state folder to begin a new fleet")
        key_pem = new_key_pem()
        key = load_key(key_pem)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{fleet} fleet CA")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SLACK)
            .not_valid_after(now + _CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM).decode())
        write_private(folder / "ca.key", key_pem)
        return Authority(folder)

    def issue(self, request: str, *, common_name: str, address: str = "") -> str:
        """Sign a request for ``common_name`` (a site, or "operator"). ``address`` becomes the only IP name.

        Raises ``Denied`` when the request does not prove that its sender holds the key.
        """
        try:
            parsed = x509.load_pem_x509_csr(request.encode())
        except ValueError as error:
            raise Denied("the certificate request cannot be read") from error
        if not parsed.is_signature_valid:
            raise Denied("the certificate request is not signed by its own key")
        now = datetime.now(UTC)
        names: list[x509.GeneralName] = [x509.DNSName(common_name)]
        if address:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        ca_key = load_key(self._key_pem)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._certificate.subject)
            .public_key(parsed.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SLACK)
            .not_valid_after(now + _LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        return leaf.public_bytes(serialization.Encoding.PEM).decode()

    def issue_operator(self) -> None:
        """Write operator.pem and operator.key beside the CA."""
        key_pem = new_key_pem()
        write_private(self._folder / "operator.key", key_pem)
        certificate = self.issue(request_pem(key_pem, common_name=OPERATOR), common_name=OPERATOR)
        write_private(self._folder / "operator.pem", certificate)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
