"""Small pure rules: settings, which failures are tried again, types of pictures, identifiers, passwords."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from infra.app.failures import NotAcknowledged, connection_lost, worth_another_try
from infra.app.identifiers import new_id
from infra.app.media import kind_of
from infra.app.passwords import derive
from infra.app.settings import SettingsError, read

DATABASES = '{"alpha": "postgresql://app:sesame@127.81.0.1/app"}'


def test_settings_show_no_password() -> None:
    settings = read({"APP_DATABASES": DATABASES, "APP_LISTEN": "127.81.0.9:9001"}, needs_listen=True)
    assert (settings.site, settings.listen_host, settings.listen_port) == ("alpha", "127.81.0.9", 9001)
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "APP_DATABASES"),
        ({"APP_DATABASES": "sesame"}, "APP_DATABASES"),
        ({"APP_DATABASES": "{}"}, "APP_DATABASES"),
        ({"APP_DATABASES_FILE": "/nonexistent/file"}, "APP_DATABASES_FILE"),
        ({"APP_DATABASES": DATABASES, "APP_LISTEN": "9001"}, "APP_LISTEN"),
        ({"APP_DATABASES": DATABASES, "APP_LISTEN": "h:1", "APP_BUDGET_S": "soon"}, "APP_BUDGET_S"),
        ({"APP_DATABASES": DATABASES, "APP_LISTEN": "h:1", "APP_BUDGET_S": "0"}, "APP_BUDGET_S"),
        ({"APP_DATABASES": DATABASES, "APP_LISTEN": "h:1", "APP_POOL_MIN": "9", "APP_POOL_MAX": "2"}, "APP_POOL_MAX"),
    ],
)
def test_wrong_settings_name_the_variable(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        read(environment, needs_listen=True)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "again", "lost"),
    [
        (psycopg.OperationalError(), True, True),
        (psycopg.errors.AdminShutdown(), True, True),
        (psycopg.errors.CrashShutdown(), True, True),
        (psycopg.errors.CannotConnectNow(), True, True),
        (psycopg.errors.ConnectionFailure(), True, True),
        (psycopg.errors.ReadOnlySqlTransaction(), True, False),
        (psycopg.errors.QueryCanceled(), True, False),
        (psycopg.errors.DeadlockDetected(), True, False),
        (psycopg.errors.UniqueViolation(), False, False),
        (psycopg.errors.DiskFull(), False, False),
    ],
)
def test_what_is_tried_again_is_decided_by_sqlstate(failure: psycopg.Error, again: bool, lost: bool) -> None:
    assert worth_another_try(failure) is again
    assert connection_lost(failure) is lost


def test_an_answer_not_to_be_believed_is_tried_again_and_a_bug_is_not() -> None:
    assert worth_another_try(NotAcknowledged())
    assert not worth_another_try(ValueError())


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None), (b"<svg", None), (b"", None),
    ],
)  # fmt: skip
def test_pictures_are_known_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


def test_ids_are_version_seven_and_never_repeat() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all((one.version, one.variant) == (7, "specified in RFC 4122") for one in ids)


def test_a_sign_in_can_be_answered_again_with_the_same_token() -> None:
    first, again = (asyncio.run(derive("correct horse", b"0" * 16)) for _ in range(2))
    assert first.token("k") == again.token("k")
    assert first.token("k") != first.token("other")
    assert first.verifier not in (first.token_key, first.digest_key)
    assert first.verifier.hex() not in repr(first)
