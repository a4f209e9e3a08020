"""Several stores, one picture: written to the nearest that takes it, read from the nearest that has it whole."""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.app.media_answer import picture
from infra.app.media_copy import adopt
from infra.app.media_stores import SHUNNED_S, MediaStores, Nowhere, StoreError
from infra.app.settings import SettingsError, read
from tests.infra.app.media_world import MemoryMedia, name_of, pair

BODY = b"\x89PNG\r\n\x1a\n" + random.Random(7).randbytes(1024)
MEDIA = name_of(BODY)


def test_the_nearest_store_takes_it_and_gives_it() -> None:
    near, far, stores = pair()
    assert asyncio.run(stores.put(MEDIA, BODY)) == "near"
    assert list(near.objects) == [f"m/{MEDIA[:2]}/{MEDIA}"]
    assert asyncio.run(stores.read(MEDIA)) == BODY
    assert far.calls == []


def test_what_is_missing_near_is_read_from_the_other_one() -> None:
    _, far, stores = pair()
    far.objects[stores.key(MEDIA)] = BODY
    assert asyncio.run(stores.read(MEDIA)) == BODY


@pytest.mark.parametrize("how", ["silent", "hanging", "rotten"])
def test_a_store_that_fails_is_passed_over(how: str) -> None:
    near, far, stores = pair()
    far.objects[stores.key(MEDIA)] = BODY
    near.objects[stores.key(MEDIA)] = BODY[:-1] + b"\x00" if how == "rotten" else BODY
    near.silent, near.hanging = how == "silent", how == "hanging"
    assert asyncio.run(stores.read(MEDIA)) == BODY


def test_a_store_that_does_not_take_it_is_passed_over_and_then_asked_last() -> None:
    now = [0.0]
    near, far = MemoryMedia("near", silent=True), MemoryMedia("far")
    stores = MediaStores([near, far], prefix="m/", clock=lambda: now[0])
    assert asyncio.run(stores.put(MEDIA, BODY)) == "far"
    assert asyncio.run(stores.put(MEDIA, BODY)) == "far"
    assert near.calls == ["put"]
    near.silent, now[0] = False, SHUNNED_S + 1
    assert asyncio.run(stores.put(MEDIA, BODY)) == "near"


def test_nobody_has_it_is_another_answer_than_nobody_knows() -> None:
    near, _, stores = pair()
    with pytest.raises(Nowhere) as known:
        asyncio.run(stores.read(MEDIA))
    assert known.value.silent == ()
    near.silent = True
    with pytest.raises(Nowhere) as unknown:
        asyncio.run(stores.read(MEDIA))
    assert unknown.value.silent == ("near",)
    near.silent, near.objects[stores.key(MEDIA)] = False, b"other bytes"
    with pytest.raises(Nowhere) as rotten:
        asyncio.run(stores.read(MEDIA))
    assert rotten.value.silent == ("near",)


def test_a_copy_never_comes_from_the_store_it_goes_to_nor_from_one_that_rots() -> None:
    near, far, stores = pair()
    near.objects[stores.key(MEDIA)] = BODY + b"x"
    with pytest.raises(Nowhere):
        asyncio.run(stores.copy(MEDIA, "far"))
    assert far.objects == {}
    near.objects[stores.key(MEDIA)] = BODY
    far.objects[stores.key(MEDIA)] = b"rotten"
    asyncio.run(stores.copy(MEDIA, "far"))
    assert far.objects == near.objects


def test_purged_means_that_every_store_said_so() -> None:
    near, far, stores = pair()
    near.objects[stores.key(MEDIA)] = far.objects[stores.key(MEDIA)] = BODY
    far.silent = True
    with pytest.raises(StoreError):
        asyncio.run(stores.purge(MEDIA))
    far.silent = False
    asyncio.run(stores.purge(MEDIA))
    assert not near.objects
    assert not far.objects


def test_the_folders_pictures_go_to_every_store_and_leave_the_folder_only_then(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    near, far, stores = pair()
    folder = tmp_path_factory.mktemp("media")
    for name, body in ((MEDIA, BODY), ("0" * 64, b"not what its name says")):
        (folder / name[:2]).mkdir(exist_ok=True)
        (folder / name[:2] / name).write_bytes(body)
    far.silent = True
    assert asyncio.run(adopt(stores, folder)) == 1
    assert (folder / MEDIA[:2] / MEDIA).exists()
    far.silent = False
    assert asyncio.run(adopt(stores, folder)) == 0
    assert near.objects == far.objects == {stores.key(MEDIA): BODY}
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["0" * 64]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=10-19", 206, BODY[10:20]), ("bytes=-5", 206, BODY[-5:]), ("bytes=1000-", 206, BODY[1000:]),
        ("bytes=0-999999", 206, BODY), (f"bytes={len(BODY)}-", 416, b""), ("bytes=-0", 416, b""),
        ("bytes=9-3", 416, b""), ("bytes=0-1,4-5", 200, BODY), ("bytes=-", 200, BODY), ("lines=1-2", 200, BODY),
    ],
    ids=str,
)  # fmt: skip
def test_ranges_of_a_picture_in_memory(asked: str, status: int, part: bytes) -> None:
    async def answer(request: Request) -> Response:
        return picture(request, MEDIA, "image/png", BODY)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=[Route("/", answer)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get("/", headers={"range": asked})

    got = asyncio.run(ask())
    assert (got.status_code, got.content) == (status, part)
    if status == 206:
        start = BODY.index(part)
        assert got.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(BODY)}"


@pytest.mark.parametrize("text", [None, "[1]", '[{"name": "a"}]', '[{"secret": "sesame"}]'])
def test_wrong_stores_name_the_variable_and_show_no_secret(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("stores") / "stores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="APP_MEDIA_STORES_FILE") as caught:
        read({"APP_DATABASES": '{"a": "postgresql://"}', "APP_MEDIA_STORES_FILE": str(path)})
    assert "sesame" not in str(caught.value)
