"""Decodes the app's processes, and the commands that start them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from failover.config.decode import Table, Value
from failover.config.names import Name, closest
from failover.config.nodes import Sequence
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
    "APP_MEDIA_PREFIX",
    "APP_MEDIA_STORES_FILE",
    "APP_MEDIA_TOMBSTONE_S",
    "APP_GATE_SOCKET",
)

_FILLED = (
    "{address}", "{database_host}", "{database_name}", "{database_password}", "{database_port}", "{database_url}",
    "{database_user}", "{host}", "{port}", "{site}",
)  # fmt: skip

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
    table = value.table(
        "command", "port", "start", "gate", "health", "environment", "quiesce", "resume", example=example
    )
    number = table.optional("port")
    command = table.required("command", "[python, -m, infra.app]")
    words = decode_command(command)
    _check_placeholders(command, words)
    quiesce, resume = _hooks(table, promise)
    service = Service(
        name=name,
        command=words,
        port=port(number, 0),
        start=table.optional("start").choice(("always", "when_primary"), "always"),
        gate=_gate(table.optional("gate"), promise),
        health=_health(table.optional("health"), listens=number.present),
        environment=decode_environment(table.optional("environment")),
        quiesce=quiesce,
        resume=resume,
    )
    _check_held(service, value, promise)
    return service


def _hooks(table: Table, promise: AppClass) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both commands, or none. One without the other would leave a worker stopped, or never stop it."""
    values = (table.optional("quiesce"), table.optional("resume"))
    quiesce, resume = (_hook(value, promise) for value in values)
    pairs = ((values[0], quiesce, resume, "resume"), (values[1], resume, quiesce, "quiesce"))
    for value, words, other, name in pairs:
        if words and not other and promise is AppClass.G3 and all(one.sound_here for one in values):
            message = "quiesce and resume belong together: what one stops the other lets go on"
            value.wrong("hook-alone", message, f"add {name} as well")
    return quiesce, resume


def _hook(value: Value, promise: AppClass) -> tuple[str, ...]:
    if isinstance(value.node, Sequence) and not value.node.items:
        return ()
    words = decode_command(value)
    _check_placeholders(value, words)
    if words and promise is not AppClass.G3:
        message = f"an app of class {promise} has no hooks: only the edge's hold of class G3 runs them"
        value.wrong("gate-class", message, "remove the line, or write class: G3")
    return words


def _check_placeholders(value: Value, words: tuple[str, ...]) -> None:
    for index, word in enumerate(words):
        if "{database_" in word:
            message = "whoever lists the processes of the host would see how to reach the database"
            hint = "write it in environment, or name a file here"
            value.problems.error("secret-in-command", (*value.path, f"[{index}]"), message, hint)


def _check_held(service: Service, value: Value, promise: AppClass) -> None:
    """A worker writes without any request, so the edge cannot hold it."""
    if promise is AppClass.G3 and not (service.port or service.quiesce or service.stops_for_a_move):
        message = "nothing holds its writes during a move, and at the standby it would run too"
        value.problems.warning("worker-not-held", value.path, message, "write start: when_primary", at_key=True)


def _gate(value: Value, promise: AppClass) -> bool:
    gate = value.boolean(promise is AppClass.G1)
    if promise is not AppClass.G1 and gate:
        value.wrong("gate-class", f"an app of class {promise} has no gate", "write gate: false, or class: G1")
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


def decode_environment(value: Value) -> dict[str, str]:
    """Variables of processes. ``{database_url}`` and the like are filled in on the host."""
    environment = {}
    for name, inner in value.entries(example="LANG: C.UTF-8"):
        environment[name] = inner.verbatim()
        inner.key_name(Name.VARIABLE)
        if name in GIVEN_VARIABLES:
            message = "failover gives this variable to the process"
            value.problems.error("reserved-name", inner.path, message, "remove the line", at_key=True)
            continue
        _check_known(inner, environment[name])
        if _SECRET_NAME.search(name) and environment[name] and environment[name] not in _FILLED:
            message = "this looks like a secret: whoever reads this file, or the process list of the host, has it"
            hint = "let the app read it from a file on its host, and name that file here"
            value.problems.warning("secret-in-file", inner.path, message, hint, at_key=True)
    return environment


def _check_known(value: Value, text: str) -> None:
    """A misspelt placeholder would reach the app as it is, which then fails to find its database."""
    for word in re.findall(r"\{[a-z_]+\}", text):
        meant = closest(word, _FILLED) if word not in _FILLED else ""
        if meant:
            value.wrong("unknown-placeholder", f"{word} is not filled in", f"did you mean {meant}?")


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
