"""Signed envelopes: specs, holds and every other change carry the operator's signature (safety G2).

A valid TLS certificate lets a host read; only an operator's signature lets anybody change. The signature covers the
purpose, the site and an expiry, so that an envelope for one thing cannot be used for another.
"""

from __future__ import annotations

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from failover.errors import Denied
from failover.trust.ca import OPERATOR, load_key


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed. ``body`` is JSON of the thing itself; ``expires_unix_s`` is wall clock, generous, and only
    bounds replay: nothing about who may write depends on it (safety D5). ``serial`` differs in every statement."""

    purpose: str
    fleet: str
    site: str
    serial: str
    expires_unix_s: float
    body: bytes


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A statement's exact bytes, its signature, and the certificate of who signed."""

    statement: bytes
    signature: bytes
    certificate_pem: str


class Signer:
    """Signs with the operator's key."""

    def __init__(self, *, key_pem: str, certificate_pem: str) -> None:
        self._key = load_key(key_pem)
        self._certificate_pem = certificate_pem

    def sign(self, statement: Statement) -> bytes:
        """The envelope as JSON bytes."""
        content = msgspec.json.encode(statement)
        signature = self._key.sign(content, ec.ECDSA(hashes.SHA256()))
        return msgspec.json.encode(
            Envelope(statement=content, signature=signature, certificate_pem=self._certificate_pem)
        )


class Verifier:
    """Opens envelopes signed by an operator of this fleet."""

    def __init__(self, *, ca_pem: str, fleet: str, site: str) -> None:
        self._ca = x509.load_pem_x509_certificate(ca_pem.encode())
        self._fleet = fleet
        self._site = site
        self._trusted: dict[str, ec.EllipticCurvePublicKey] = {}

    def open(self, raw: bytes, *, purpose: str, now_unix_s: float) -> Statement:
        """The statement inside, once signer, purpose, fleet, site and expiry are right. Raises ``Denied``."""
        try:
            envelope = msgspec.json.decode(raw, type=Envelope)
            statement = msgspec.json.decode(envelope.statement, type=Statement)
        except msgspec.MsgspecError as error:
            raise Denied("not a signed statement") from error
        key = self._operator_key(envelope.certificate_pem)
        try:
            key.verify(envelope.signature, envelope.statement, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise Denied("the statement's signature is wrong") from error
        expected = (purpose, self._fleet, self._site)
        if (statement.purpose, statement.fleet, statement.site) != expected:
            raise Denied(f"the statement is for {statement.purpose} at {statement.site}, not for {purpose} here")
        if statement.expires_unix_s < now_unix_s:
            raise Denied("the statement has expired", hint="look at the clocks of both machines, then send it again")
        return statement

    def _operator_key(self, certificate_pem: str) -> ec.EllipticCurvePublicKey:
        if certificate_pem in self._trusted:
            return self._trusted[certificate_pem]
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
            certificate.verify_directly_issued_by(self._ca)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise Denied("the signer's certificate is not of this fleet") from error
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
        if [name.value for name in names] != [OPERATOR] or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Denied("the signer is not an operator: hosts may read, only operators may change")
        self._trusted[certificate_pem] = key
        return key
