"""The plain functions of the app, through HTTP, on a real PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

from tests.infra.app.processes import AppProcess, Person

Connection = psycopg.Connection[tuple[object, ...]]


def test_sign_up_sign_in_post_and_read_back(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    created = ada.post("first light", client_id="c-1")
    assert created.status_code == 201
    read = shared_app.client.get(f"/api/posts/{created.json()['id']}")
    assert read.status_code == 200
    assert read.json()["body"] == "first light"
    assert read.json()["author"] == ada.name
    assert read.json()["client_id"] == "c-1"
    assert ada.call("GET", "/api/me").json()["name"] == ada.name


def test_likes_and_follows_are_counted_once_and_taken_back(shared_app: AppProcess) -> None:
    ada, bob = Person(shared_app.client).arrive(), Person(shared_app.client).arrive()
    post = ada.post().json()["id"]
    for _ in range(2):
        assert bob.call("PUT", f"/api/posts/{post}/like").json() == {"post": post, "liked": True}
        assert bob.call("PUT", f"/api/follows/{ada.name}").json() == {"name": ada.name, "followed": True}
    seen = bob.call("GET", f"/api/posts/{post}").json()
    assert (seen["likes"], seen["liked"]) == (1, True)
    page = bob.call("GET", f"/api/accounts/{ada.name}").json()
    assert (page["followers"], page["followed"], len(page["posts"])) == (1, True, 1)
    assert bob.call("DELETE", f"/api/posts/{post}/like").json()["liked"] is False
    assert bob.call("DELETE", f"/api/follows/{ada.name}").json()["followed"] is False
    assert bob.call("GET", f"/api/posts/{post}").json()["likes"] == 0
    assert bob.call("GET", f"/api/accounts/{ada.name}").json()["followers"] == 0


def test_sign_out_ends_the_session_and_can_be_repeated(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    first = ada.call("DELETE", "/api/sessions", key="bye")
    assert first.status_code == 200
    again = ada.call("DELETE", "/api/sessions", key="bye")
    assert (again.status_code, again.json()) == (200, first.json())
    assert ada.call("GET", "/api/me").status_code == 401
    assert ada.post().status_code == 401


def test_the_cookie_signs_in_a_browser(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    response = shared_app.client.post("/api/sessions", json={"name": ada.name, "password": "correct horse"})
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert shared_app.client.get("/api/me").json()["name"] == ada.name
    shared_app.client.cookies.clear()


def test_neither_password_nor_token_is_stored(app: AppProcess, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    token = ada.headers["authorization"].removeprefix("Bearer ")
    for table in ("accounts", "sessions", "idempotency"):
        for (row,) in sql.execute(f"SELECT t::text FROM {table} t".encode()):
            assert token not in str(row)
            assert "correct horse" not in str(row)
    assert token not in app.log()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "Ada", "password": "long enough"}, 422, "invalid"),
        ({"name": "ab", "password": "long enough"}, 422, "invalid"),
        ({"name": "ada", "password": "short"}, 422, "invalid"),
        ({"name": "ada"}, 422, "invalid"),
        ({"name": "ada", "password": "long enough", "admin": True}, 422, "invalid"),
        ({"name": 7, "password": "long enough"}, 422, "invalid"),
        ([], 422, "invalid"),
    ],
)
def test_bad_accounts_are_refused(shared_app: AppProcess, body: object, status: int, code: str) -> None:
    answer = shared_app.client.post("/api/accounts", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_bad_posts_are_refused_with_the_field(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    for body, field in (
        ({"body": ""}, "body"),
        ({"body": "   "}, "body"),
        ({"body": "x" * 1001}, "body"),
        ({"body": "a\u0000b"}, "body"),
        ({"body": "x", "media": "nope"}, "media"),
        ({"body": "x", "media": "0" * 64}, "media"),
        ({"body": "x", "publish_at": "2026-01-01T00:00:00"}, "publish_at"),
        ({"body": "x", "publish_at": "2999-01-01T00:00:00Z"}, "publish_at"),
        ({"body": "x", "client_id": ""}, "client_id"),
    ):
        answer = ada.call("POST", "/api/posts", json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["error"]["field"] == field
    assert ada.call("POST", "/api/posts", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert ada.call("POST", "/api/posts", content=b"body=x").status_code == 415
    large = b'{"body":"' + b"x" * 70_000 + b'"}'
    kind = {"content-type": "application/json"}
    assert ada.call("POST", "/api/posts", content=large, headers=kind).status_code == 413
    assert ada.call("GET", "/api/timeline?limit=0").status_code == 422


def test_what_is_not_there_is_404_and_strangers_get_401(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    nobody = "00000000-0000-7000-8000-000000000000"
    for method, path in (
        ("GET", f"/api/posts/{nobody}"), ("GET", "/api/posts/x"), ("PUT", f"/api/posts/{nobody}/like"),
        ("PUT", "/api/follows/nobody_at_all"), ("PUT", f"/api/follows/{ada.name}"),
        ("GET", "/api/accounts/nobody_at_all"),
        ("GET", "/nothing"), ("GET", "/api/media/" + "0" * 64), ("GET", "/api/media/..%2f..%2fetc%2fpasswd"),
    ):  # fmt: skip
        assert ada.call(method, path).status_code == 404, path
    stranger = Person(shared_app.client)
    for method, path in (("GET", "/api/timeline"), ("GET", "/api/me"), ("PUT", "/api/follows/" + ada.name)):
        assert stranger.call(method, path).status_code == 401, path
    assert stranger.post().status_code == 401
    assert shared_app.client.put("/api/posts").status_code == 405


def test_a_name_is_taken_once_and_a_wrong_password_is_401(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    again = shared_app.client.post("/api/accounts", json={"name": ada.name, "password": "another one"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "name-taken")
    for name in (ada.name, "nobody_at_all"):
        wrong = shared_app.client.post("/api/sessions", json={"name": name, "password": "wrong wrong"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "wrong-credentials")


def test_the_page_runs_only_its_own_scripts(shared_app: AppProcess) -> None:
    page = shared_app.client.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "<script>" not in page.text
    for path in ("/manifest.webmanifest", "/service-worker.js", "/app.js", "/app.css", "/icon.svg", "/offline.html"):
        found = shared_app.client.get(path)
        assert found.status_code == 200, path
        assert shared_app.client.get(path, headers={"if-none-match": found.headers["etag"]}).status_code == 304
