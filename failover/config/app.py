"""Decodes ``app``: the program under failover and its database settings. Its processes are in ``services``."""

from __future__ import annotations

from pathlib import PurePosixPath

from failover.config.decode import Value
from failover.config.http import decode_http
from failover.config.names import Name
from failover.config.problems import clipped
from failover.config.services import decode_command, decode_environment, decode_services
from failover.model.fleet import App, AppClass

BUILT_CLASSES = (AppClass.G1, AppClass.G3, AppClass.G4)

KEEPER_SETTINGS = (
    "allow_alter_system",
    "cluster_name",
    "config_file",
    "data_directory",
    "external_pid_file",
    "fsync",
    "full_page_writes",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "log_line_prefix",
    "log_min_messages",
    "logging_collector",
    "max_slot_wal_keep_size",
    "max_standby_streaming_delay",
    "password_encryption",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "restart_after_crash",
    "restore_command",
    "synchronized_standby_slots",
    "synchronous_commit",
    "synchronous_standby_names",
    "unix_socket_directories",
    "wal_level",
    "wal_log_hints",
    "wal_receiver_status_interval",
    "wal_receiver_timeout",
    "wal_retrieve_retry_interval",
    "wal_sender_timeout",
)
"""What the laws of moving a primary rest on, or the keeper writes itself: a value here would be lost in silence."""

_KEEPER_FAMILIES = ("archive_", "recovery_")
_DATABASES_TAKEN = ("postgres", "template0", "template1")


def decode_app(value: Value) -> App:
    """The app. Wrong values are stand-ins and reported."""
    table = value.table(
        "name",
        "class",
        "database",
        "migrate",
        "workload",
        "settings",
        "environment",
        "http",
        "services",
        example="name: social",
        may_be_empty=False,
    )
    promise = _promise(table.optional("class"))
    return App(
        name=table.required("name", "social").name(Name.LABEL),
        promise=promise,
        database=_database(table.optional("database")),
        migrate=decode_command(table.optional("migrate")),
        services=decode_services(
            table.required("services", "{web-1: {command: [python, -m, infra.app], port: 9001}}"), promise
        ),
        workload=_workload(table.optional("workload")),
        settings=_settings(table.optional("settings")),
        environment=decode_environment(table.optional("environment")),
        http=decode_http(table.optional("http"), promise),
    )


def _promise(value: Value) -> AppClass:
    promise = AppClass(value.choice(tuple(AppClass), AppClass.G1))
    if promise not in BUILT_CLASSES:
        hint = "write G1 if the app's own pool has the gate, G3 to hold its requests at the edge, else G4"
        value.wrong("not-built", f"class {promise} is not built yet", hint)
    return promise


def _database(value: Value) -> str:
    name = value.name(Name.DATABASE, "app")
    if name in _DATABASES_TAKEN:
        value.wrong("reserved-name", f"{name} belongs to PostgreSQL itself", "write another name, as app")
    return name


def _workload(value: Value) -> str:
    text = value.text("") if value.present else ""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        message = f"{clipped(text)} lies outside the folder of this file"
        value.wrong("bad-value", message, "write a path below it, as workload.yaml")
    return text


def _settings(value: Value) -> dict[str, str]:
    settings = {}
    for name, inner in value.entries(example="shared_buffers: 64MB"):
        settings[name] = inner.verbatim()
        inner.key_name(Name.SETTING)
        folded = name.lower()
        if folded in KEEPER_SETTINGS or folded.startswith(_KEEPER_FAMILIES):
            message = "only the keeper sets this: the safety of a move rests on it"
            value.problems.error("keeper-setting", inner.path, message, "remove the line", at_key=True)
    return settings
