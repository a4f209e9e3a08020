"""The operator's side of the agents' API: ``ports.hosts.Hosts`` over mutual TLS, one kept connection per site."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx
import msgspec

from failover.errors import Denied, FailoverError, OutcomeUnknown, Refused, Unreachable
from failover.model.certificate import Certificate
from failover.model.observation import AgentState, DatabaseFacts, GateFacts
from failover.model.secret import Secret
from failover.model.spec import HostSpec

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an agent listens."""

    address: str
    port: int


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """Enrolment as the client needs it; made of ``trust`` by the wiring. ``begin`` returns the greeting and a function
    from the host's answer to the grant."""

    begin: Callable[[str, Secret], tuple[bytes, Callable[[bytes], bytes]]]


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    code: str = "error"
    message: str = "no reason given"
    hint: str = ""


class AgentHosts:
    """Calls raise as the port says. ``sign`` makes the envelope for purpose, site and body."""

    def __init__(
        self,
        places: Mapping[str, Place],
        *,
        tls: ssl.SSLContext,
        sign: Callable[[str, str, bytes], bytes],
        handshake: Handshake,
    ) -> None:
        self._places = dict(places)
        self._sign = sign
        self._handshake = handshake
        self._client = httpx.Client(verify=tls, trust_env=False, limits=httpx.Limits(keepalive_expiry=60.0))

    # --- reading ---------------------------------------------------------------------------------------------------

    def state(self, site: str, *, deadline_s: float) -> AgentState:
        """See the port."""
        return self._get(site, "/v1/state?fresh=1", AgentState, deadline_s)

    def certificates(self, site: str, *, deadline_s: float) -> tuple[Certificate, ...]:
        """See the port."""
        return self._get(site, "/v1/certificates", tuple[Certificate, ...], deadline_s)

    def await_primary(self, site: str, *, deadline_s: float) -> AgentState:
        """See the port."""
        return self._get(site, f"/v1/settled?epoch=1&wait_s={deadline_s}", AgentState, deadline_s + 1.0)

    def await_received(self, site: str, *, lsn: int, deadline_s: float) -> DatabaseFacts:
        """See the port."""
        return self._get(site, f"/v1/received?lsn={lsn}&wait_s={deadline_s}", DatabaseFacts, deadline_s + 1.0)

    def nudge(self, site: str, *, deadline_s: float) -> None:
        """See the port."""
        self._answer(site, self._send("POST", site, "/v1/nudge", None, deadline_s, changes=False))

    # --- changing --------------------------------------------------------------------------------------------------

    def enrol(self, site: str, *, token: Secret, deadline_s: float) -> bool:
        """See the port."""
        try:
            self._get(site, "/v1/state", AgentState, deadline_s)
        except _NotEnrolled:
            pass
        else:
            return False
        greeting, finish = self._handshake.begin(site, token)
        # Nothing of TLS is trusted yet: the token proves both sides (trust/enrolment).
        unproven = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unproven.check_hostname = False
        unproven.verify_mode = ssl.CERT_NONE
        with httpx.Client(verify=unproven, trust_env=False, timeout=deadline_s) as client:
            try:
                answer = client.post(self._url(site, "/v1/enrol"), content=greeting)
                if answer.status_code != 200:
                    raise Denied(
                        f"the host at {site} does not know this fleet's bootstrap token",
                        hint=f"failover preview {site} shows what should run there",
                    )
                granted = client.post(self._url(site, "/v1/certificate"), content=finish(answer.content))
            except httpx.HTTPError as error:
                raise Unreachable(f"the host at {site} does not answer: {error}", where=site) from error
        if granted.status_code != 200:
            raise Denied(f"the host at {site} refused its certificate")
        return True

    def put_spec(self, site: str, spec: HostSpec, *, deadline_s: float) -> None:
        """See the port."""
        self._change(site, "spec", spec, dict, deadline_s)

    def hold(self, site: str, *, run: str, epoch: int, budget_s: float, deadline_s: float) -> GateFacts:
        """See the port."""
        body = {"run": run, "epoch": epoch, "budget_s": budget_s, "wait_s": max(deadline_s - 0.5, 0.1)}
        return self._change(site, "hold", body, GateFacts, deadline_s)

    def quiesce(
        self, site: str, *, run: str, epoch: int, budget_s: float, slow_s: float, deadline_s: float
    ) -> GateFacts:
        """See the port."""
        body = {"run": run, "epoch": epoch, "budget_s": budget_s, "wait_s": slow_s}
        return self._change(site, "quiesce", body, GateFacts, deadline_s)

    def release(self, site: str, *, run: str, deadline_s: float) -> GateFacts:
        """See the port."""
        return self._change(site, "release", {"run": run}, GateFacts, deadline_s)

    def stop_primary(self, site: str, *, run: str, budget_s: float, deadline_s: float) -> DatabaseFacts:
        """See the port."""
        return self._change(site, "stop", {"run": run, "budget_s": budget_s}, DatabaseFacts, deadline_s)

    def terminate_writers(self, site: str, *, run: str, deadline_s: float) -> tuple[str, ...]:
        """See the port."""
        return tuple(self._change(site, "writers", {"run": run}, list[str], deadline_s))

    def checkpoint(self, site: str, *, deadline_s: float) -> None:
        """See the port."""
        self._change(site, "checkpoint", {}, dict, deadline_s)

    def migrate(self, site: str, *, deadline_s: float) -> str:
        """See the port."""
        return self._change(site, "migrate", {}, dict[str, str], deadline_s)["output"]

    def close(self) -> None:
        """See the port."""
        self._client.close()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _url(self, site: str, path: str) -> str:
        place = self._places[site]
        return f"https://{place.address}:{place.port}{path}"

    def _get(self, site: str, path: str, kind: type[T], deadline_s: float) -> T:
        return self._decoded(site, self._send("GET", site, path, None, deadline_s, changes=False), kind)

    def _change(self, site: str, purpose: str, body: object, kind: type[T], deadline_s: float) -> T:
        envelope = self._sign(purpose, site, msgspec.json.encode(body))
        answer = self._send("POST", site, f"/v1/{purpose}", envelope, deadline_s, changes=True)
        return self._decoded(site, answer, kind)

    def _send(
        self, method: str, site: str, path: str, content: bytes | None, deadline_s: float, *, changes: bool
    ) -> httpx.Response:
        try:
            return self._client.request(method, self._url(site, path), content=content, timeout=deadline_s)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if _is_tls(error):
                raise _NotEnrolled(f"the agent at {site} has no certificate of this fleet", where=site) from error
            raise Unreachable(f"the agent at {site} does not answer", where=self._url(site, "")) from error
        except httpx.HTTPError as error:
            kind = OutcomeUnknown if changes else Unreachable
            raise kind(
                f"the agent at {site} did not answer: {type(error).__name__}", where=self._url(site, "")
            ) from error

    def _answer(self, site: str, answer: httpx.Response) -> bytes:
        if answer.status_code == 200:
            return answer.content
        try:
            error = msgspec.json.decode(answer.content, type=_Error)
        except msgspec.MsgspecError:
            error = _Error(message=f"HTTP {answer.status_code}")
        kinds: dict[int, type[FailoverError]] = {403: Denied, 409: Refused}
        raise kinds.get(answer.status_code, Unreachable)(f"{site}: {error.message}", hint=error.hint, where=site)

    def _decoded(self, site: str, answer: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._answer(site, answer), type=kind)
        except msgspec.MsgspecError as error:
            raise Unreachable(f"the agent at {site} answered something else: {error}", where=site) from error


class _NotEnrolled(Unreachable):
    """TLS failed: the host presents a certificate that is not of this fleet (yet)."""


def _is_tls(error: BaseException) -> bool:
    """True when a TLS failure is anywhere below ``error``; told by type, never by text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
