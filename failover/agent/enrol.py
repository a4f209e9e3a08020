"""The first minutes of a host: it makes its own key and waits for an operator who holds the bootstrap's token.

Until then it answers nothing else, and nobody without the token learns more than that something listens (safety G3).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failover.errors import Denied
from failover.model.bootstrap import Bootstrap
from failover.model.secret import Secret
from failover.trust import enrolment
from failover.trust.ca import load_key, new_key_pem, request_pem, write_private


class HostTrust:
    """The host's own key and certificates, below ``trust/`` of its folder."""

    def __init__(self, host_dir: Path, bootstrap: Bootstrap) -> None:
        self.folder = host_dir / "trust"
        self.certificate = self.folder / "host.pem"
        self.key = self.folder / "host.key"
        self.ca = self.folder / "ca.pem"
        self._bootstrap = bootstrap
        write_private(self.ca, bootstrap.fleet_ca_pem)
        if not self.key.exists():
            write_private(self.key, new_key_pem())

    @property
    def enrolled(self) -> bool:
        """The key was signed."""
        return self.certificate.exists()

    def request(self) -> str:
        """Signing request for the host's key."""
        return request_pem(self.key.read_text(), common_name=self._bootstrap.site)

    def take(self, certificate_pem: str) -> None:
        """Keep the signed certificate. Raises ``Denied`` when it is not the fleet's CA's for this very key."""
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(self._bootstrap.fleet_ca_pem.encode()))
        raw = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        mine = load_key(self.key.read_text()).public_key().public_bytes(*raw)
        if certificate.public_key().public_bytes(*raw) != mine:
            raise Denied("the certificate is not for this host's key")
        write_private(self.certificate, certificate_pem)

    def server_context(self) -> ssl.SSLContext:
        """Mutual TLS: a client without a certificate of the fleet does not get past the handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """For calls to peers and voters."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.certificate, self.key)
        return context

    def provisional_context(self) -> ssl.SSLContext:
        """Before enrolment: a certificate for a key that is thrown away; the token is what proves, not this."""
        key_pem = new_key_pem()
        key = load_key(key_pem)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "not enrolled")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".pem") as both:
            os.fchmod(both.fileno(), 0o600)
            both.write(key_pem + certificate.public_bytes(serialization.Encoding.PEM).decode())
            both.flush()
            context.load_cert_chain(both.name)
        return context


def application(trust: HostTrust, token: Secret, enrolled: asyncio.Event) -> Starlette:
    """Two calls, both proven by the token; everything else is an empty 404."""
    greetings: dict[str, enrolment.Hello] = {}

    async def enrol(request: Request) -> Response:
        try:
            greeting = msgspec.json.decode(await request.body(), type=enrolment.Hello)
            answer = enrolment.answer(token, greeting, trust.request())
        except (Denied, msgspec.MsgspecError):
            return Response(status_code=404)
        greetings[greeting.nonce] = greeting
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def certificate(request: Request) -> Response:
        try:
            message = msgspec.json.decode(await request.body(), type=enrolment.Grant)
            if message.nonce not in greetings:
                return Response(status_code=404)
            trust.take(enrolment.receive(token, message))
        except (Denied, ValueError, TypeError, msgspec.MsgspecError):
            return Response(status_code=404)
        enrolled.set()
        return Response(b"{}", media_type="application/json")

    return Starlette(
        routes=[
            Route("/v1/enrol", enrol, methods=["POST"]),
            Route("/v1/certificate", certificate, methods=["POST"]),
        ]
    )
