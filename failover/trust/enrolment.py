"""Enrolment: host and operator prove to each other that they hold the bootstrap's one-time token, then the host's
own key is signed. Nothing but the token is trusted before, and the token is worth nothing afterwards.

Every message carries an HMAC-SHA256 over its kind, the operator's nonce and its content; the kind keeps one message
from being played back as another. An address on a path to the host learns a public request and certificate, no more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec

from failover.errors import Denied
from failover.model.secret import Secret


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Operator -> host: prove yourself over this nonce."""

    nonce: str
    mac: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Host -> operator: the signing request for the host's own key."""

    request_pem: str
    mac: str


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Operator -> host: the signed certificate."""

    nonce: str
    certificate_pem: str
    mac: str


def _mac(token: Secret, kind: str, nonce: str, content: str) -> str:
    message = f"{kind}\x00{nonce}\x00{content}".encode()
    return hmac.new(token.reveal().encode(), message, hashlib.sha256).hexdigest()


def _check(token: Secret, kind: str, nonce: str, content: str, mac: str) -> None:
    if not hmac.compare_digest(_mac(token, kind, nonce, content), mac):
        raise Denied(
            "the other side does not hold this host's bootstrap token",
            hint="is another host answering at this address? failover preview shows what should run there",
        )


def hello(token: Secret) -> Hello:
    """Begin an enrolment."""
    nonce = secrets.token_hex(16)
    return Hello(nonce=nonce, mac=_mac(token, "hello", nonce, ""))


def answer(token: Secret, greeting: Hello, request_pem: str) -> Request:
    """The host's answer; raises ``Denied`` for a greeting without the token."""
    _check(token, "hello", greeting.nonce, "", greeting.mac)
    return Request(request_pem=request_pem, mac=_mac(token, "request", greeting.nonce, request_pem))


def accept(token: Secret, greeting: Hello, request: Request) -> str:
    """The request's PEM once it is proven to come from the host."""
    _check(token, "request", greeting.nonce, request.request_pem, request.mac)
    return request.request_pem


def grant(token: Secret, greeting: Hello, certificate_pem: str) -> Grant:
    """The certificate, bound to this enrolment."""
    mac = _mac(token, "grant", greeting.nonce, certificate_pem)
    return Grant(nonce=greeting.nonce, certificate_pem=certificate_pem, mac=mac)


def receive(token: Secret, message: Grant) -> str:
    """The certificate's PEM once it is proven to come from the operator."""
    _check(token, "grant", message.nonce, message.certificate_pem, message.mac)
    return message.certificate_pem
