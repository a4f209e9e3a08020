"""Decodes the app's processes, and the commands that start them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from failover.config.decode import Value
from failover.config.names import Name, closest
from failover.config.problems import Problems, clipped
from failover.config.sites import port
from failover.model.fleet import AppClass, Service

PROGRAMS = ("python",)
"""Programs an agent finds on its own host; anything else is named by its absolute path there."""

AGENT_SERVICES = ("agent", "dns", "edge", "etcd", "gate", "haproxy", "keeper", "migrate", "pdns", "postgres", "record")
"""Names an agent uses for services of its own."""

GIVEN_VARIABLES = (
    "APP_SITE",
    "APP_LISTEN",
    "APP_DATABASES",
    "APP_DATABASES_FILE",
    "APP_MEDIA_DIR",
    "APP_GATE_SOCKET",
)

_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY)$", re.IGNORECASE)

# Only what means itself in the edge's configuration, where the path is written without quotes.
_URL_PATH = re.compile(r"/[A-Za-z0-9._~/?=&-]{0,200}")


def decode_services(value: Value, promise: AppClass) -> tuple[Service, ...]:
    """The processes in the order of the file. Wrong values are stand-ins and reported."""
    services = []
    for name, inner in value.entries(
        example="web-1: {command: [python, -m, infra.app], port: 9001}", may_be_empty=False
    ):
        inner.key_name(Name.LABEL)
        if name in AGENT_SERVICES:
            message = f"{name} is a service of the agent itself"
            value.problems.error(
                "reserved-name", inner.path, message, f"write another name, as app-{name}", at_key=True
            )
        services.append(_service(name, inner, promise))
    return tuple(services)


def check_services(services: tuple[Service, ...], problems: Problems) -> None:
    """The edge has somebody to send requests to, and one question that all of them answer."""
    top = ("app", "services")
    if not problems.sound(*top):
        return
    ports = all(problems.sound(*top, service.name, "port") for service in services)
    if ports and not any(service.port for service in services):
        message = "no process has a port: the edge has nobody to send requests to"
        problems.error("no-web-service", top, message, "give one of them port: 9001", at_key=True)
    asked = [service for service in services if service.port and problems.sound(*top, service.name, "health")]
    for service in asked[1:]:
        if service.health != asked[0].health:
            message = f"{asked[0].name} is asked at {asked[0].health}, {service.name} at {service.health}"
            hint = "one edge asks all of them the same: write one path for every process with a port"
            problems.error("health-paths", (*top, service.name, "health"), message, hint)


def _service(name: str, value: Value, promise: AppClass) -> Service:
    example = "command: [python, -m, infra.app]"
    table = value.table("command", "port", "start", "gate", "health", "environment", example=example)
    number = table.optional("port")
    return Service(
        name=name,
        command=decode_command(table.required("command", "[python, -m, infra.app]")),
        port=port(number, 0),
        start=table.optional("start").choice(("always", "when_primary"), "always"),
        gate=_gate(table.optional("gate"), promise),
        health=_health(table.optional("health"), listens=number.present),
        environment=_environment(table.optional("environment")),
    )


def _gate(value: Value, promise: AppClass) -> bool:
    gate = value.boolean(promise is not AppClass.G4)
    if promise is AppClass.G4 and gate:
        value.wrong("gate-class", "an app of class G4 has no gate", "write gate: false, or class: G1")
    if promise is AppClass.G1 and not gate:
        message = "nothing holds its writes during a move: the promise of class G1 (0 errors) does not cover it"
        value.problems.warning("gate-class", value.path, message, "write gate: true unless it never writes")
    return gate


def _health(value: Value, *, listens: bool) -> str:
    if not value.present:
        return "/health" if listens else ""
    text = value.text()
    if text and not listens:
        value.wrong("bad-value", "a process without a port cannot be asked", "add a port, or remove this line")
    elif text and not _URL_PATH.fullmatch(text):
        value.wrong("bad-value", f"{clipped(text)} is no path of a URL", "write a path that begins with /, as /health")
    return text


def _environment(value: Value) -> dict[str, str]:
    environment = {}
    for name, inner in value.entries(example="LANG: C.UTF-8"):
        environment[name] = inner.verbatim()
        inner.key_name(Name.VARIABLE)
        if name in GIVEN_VARIABLES:
            message = "failover gives this variable to the process"
            value.problems.error("reserved-name", inner.path, message, "remove the line", at_key=True)
        elif _SECRET_NAME.search(name) and environment[name]:
            message = "this looks like a secret: whoever reads this file, or the process list of the host, has it"
            hint = "let the app read it from a file on its host, and name that file here"
            value.problems.warning("secret-in-file", inner.path, message, hint, at_key=True)
    return environment


def decode_command(value: Value) -> tuple[str, ...]:
    """A program and its arguments. No shell reads it, so nothing in it is expanded."""
    items = value.items()
    words = tuple(item.verbatim() for item in items)
    if value.present and value.sound_here and not words:
        value.wrong(
            "wrong-type", "want a program and its arguments, found an empty list", "write [python, -m, infra.app]"
        )
    if not words or not items[0].sound_here or words[0] in PROGRAMS:
        return words
    if not PurePosixPath(words[0]).is_absolute():
        meant = closest(words[0], PROGRAMS)
        hint = f"did you mean {meant}?" if meant else f"write {' or '.join(PROGRAMS)}, or the program's absolute path"
        items[0].wrong("unknown-program", f"{clipped(words[0])} is no program every host knows", hint)
    return words
