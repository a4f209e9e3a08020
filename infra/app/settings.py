"""What the environment tells a process of the app, read once and checked.

Lives here: every environment variable the app knows. Must never be here: connections, defaults that name a host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec


class SettingsError(Exception):
    """A variable is missing or wrong; the message names it and never shows a secret value."""


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bucket for pictures. `secret` stays out of every repr."""

    name: str
    endpoint: str
    bucket: str
    access_key: str
    secret: str
    region: str = "us-east-1"

    def __repr__(self) -> str:
        return f"StoreSettings(name={self.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process's settings. `databases` holds passwords, so it stays out of every repr."""

    site: str
    databases: Mapping[str, str] = field(repr=False)
    listen_host: str
    listen_port: int
    media_dir: Path
    media_stores: tuple[StoreSettings, ...] = field(repr=False)
    media_prefix: str
    media_tombstone_s: float
    gate_socket: Path | None
    log_level: str
    budget_s: float
    connect_timeout_s: float
    pool_min: int
    pool_max: int
    media_max_bytes: int
    idempotency_ttl_s: float
    session_ttl_s: float


def read(environ: Mapping[str, str] | None = None, *, needs_listen: bool = False) -> Settings:
    """Return checked settings, or raise SettingsError with the variable's name."""
    env = os.environ if environ is None else environ
    databases = _databases(env)
    site = env.get("APP_SITE") or next(iter(databases))
    host, port = _listen(env) if needs_listen else ("", 0)
    gate = env.get("APP_GATE_SOCKET")
    pool_min = _integer(env, "APP_POOL_MIN", 2, least=1)
    return Settings(
        site=site,
        databases=databases,
        listen_host=host,
        listen_port=port,
        media_dir=Path(env.get("APP_MEDIA_DIR") or "media"),
        media_stores=_stores(env),
        media_prefix=(env.get("APP_MEDIA_PREFIX") or "media").strip("/") + "/",
        media_tombstone_s=_seconds(env, "APP_MEDIA_TOMBSTONE_S", 35 * 86400.0),
        gate_socket=Path(gate) if gate else None,
        log_level=env.get("APP_LOG_LEVEL", "WARNING").upper(),
        budget_s=_seconds(env, "APP_BUDGET_S", 10.0),
        connect_timeout_s=_seconds(env, "APP_CONNECT_TIMEOUT_S", 1.0),
        pool_min=pool_min,
        pool_max=_integer(env, "APP_POOL_MAX", max(5, pool_min), least=pool_min),
        media_max_bytes=_integer(env, "APP_MEDIA_MAX_BYTES", 8 * 1024 * 1024, least=1),
        idempotency_ttl_s=_seconds(env, "APP_IDEMPOTENCY_TTL_S", 86400.0),
        session_ttl_s=_seconds(env, "APP_SESSION_TTL_S", 30 * 86400.0),
    )


def _databases(env: Mapping[str, str]) -> dict[str, str]:
    file = env.get("APP_DATABASES_FILE")
    name = "APP_DATABASES_FILE" if file else "APP_DATABASES"
    try:
        text = Path(file).read_text(encoding="utf-8") if file else env["APP_DATABASES"]
    except KeyError:
        raise SettingsError("APP_DATABASES or APP_DATABASES_FILE must be set") from None
    except OSError as failure:
        raise SettingsError(f"{name}: cannot read {file}: {failure.strerror}") from failure
    try:
        databases = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        # Raised without its cause: the cause quotes the text, and the text holds passwords.
        raise SettingsError(f'{name}: want a JSON object {{"site": "postgresql://…"}}') from None
    if not databases:
        raise SettingsError(f"{name}: names no site")
    return databases


def _stores(env: Mapping[str, str]) -> tuple[StoreSettings, ...]:
    """Nearest first; none where pictures are kept in the folder."""
    file = env.get("APP_MEDIA_STORES_FILE")
    if not file:
        return ()
    try:
        found = msgspec.json.decode(Path(file).read_bytes(), type=tuple[StoreSettings, ...])
    except OSError as failure:
        raise SettingsError(f"APP_MEDIA_STORES_FILE: cannot read {file}: {failure.strerror}") from failure
    except msgspec.DecodeError:
        # Without its cause, which may quote a key.
        raise SettingsError(
            'APP_MEDIA_STORES_FILE: want a JSON array of {"name", "endpoint", "bucket", "access_key", "secret"}'
        ) from None
    if len({store.name for store in found}) != len(found):
        raise SettingsError("APP_MEDIA_STORES_FILE: two stores have one name")
    return found


def _listen(env: Mapping[str, str]) -> tuple[str, int]:
    host, colon, port = env.get("APP_LISTEN", "").rpartition(":")
    if not (colon and host and port.isdigit()):
        raise SettingsError("APP_LISTEN: want host:port")
    return host.strip("[]"), int(port)


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(env.get(name, default))
    except ValueError:
        raise SettingsError(f"{name}: want a number of seconds") from None
    if not value > 0:
        raise SettingsError(f"{name}: must be above 0")
    return value


def _integer(env: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    try:
        value = int(env.get(name, default))
    except ValueError:
        raise SettingsError(f"{name}: want a whole number") from None
    if value < least:
        raise SettingsError(f"{name}: must be at least {least}")
    return value
