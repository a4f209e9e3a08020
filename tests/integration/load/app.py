"""A small HTTP app that misbehaves on command: run as a process of its own, told what to do by its control port.

POST /writes {"id": …} with Idempotency-Key stores a row, once per key; GET /reads answers; GET /rows/ID finds it or
not; POST /login gives a token; GET /rows lists every stored id; POST /behave {"mode": …} changes what they do from now
on.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


class Misbehaving:
    """``mode``: ok | stall (hold everything) | fail (500, stored) | refuse (500, not stored) | drop (store, then cut
    the connection) | twice (500, and stored again for a repeated key) | deny (401) | alone (writes wait for ever, rows
    are found or not by what was stored until then) | fenced (writes wait for ever, and no row is looked for)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "ok"
        self.rows: list[str] = []
        self.keys: set[str] = set()
        self.going = asyncio.Event()
        self.going.set()
        self.seen = 0

    async def write(self, request: web.Request) -> web.StreamResponse:
        self.seen += 1
        body = await request.json()
        await self.going.wait()
        mode = self.mode
        if mode in ("alone", "fenced"):
            await asyncio.Event().wait()
        if request.headers.get("Authorization") != "Bearer to\"ken" or mode == "deny":
            return web.json_response({"error": "who are you"}, status=401)
        if mode == "refuse":
            return web.json_response({}, status=500)
        key = request.headers.get("Idempotency-Key", "")
        if not key or key not in self.keys or mode == "twice":
            self.rows.append(body["id"])
            self.keys.add(key)
        if mode == "drop":
            assert request.transport is not None
            request.transport.abort()
        status = 500 if mode in ("fail", "twice") else 201
        return web.json_response({"id": body["id"]}, status=status, headers={"x-site": self.name, "x-epoch": "4"})

    async def read(self, request: web.Request) -> web.Response:
        self.seen += 1
        await self.going.wait()
        return web.json_response({"rows": len(self.rows)}, status=500 if self.mode in ("fail", "refuse") else 200)

    async def find(self, request: web.Request) -> web.Response:
        self.seen += 1
        there = request.match_info["id"] in self.rows
        return web.json_response({}, status=503 if self.mode == "fenced" else 200 if there else 404)

    async def log_in(self, request: web.Request) -> web.Response:
        return web.json_response({"deep": [{"token": "to\"ken"}]}, status=401 if self.mode == "deny" else 200)

    async def stored(self, request: web.Request) -> web.Response:
        return web.json_response({"rows": self.rows, "seen": self.seen})

    async def behave(self, request: web.Request) -> web.Response:
        mode = (await request.json())["mode"]
        if mode == "stall":
            self.going.clear()
        else:
            self.mode = mode
            self.going.set()
        return web.json_response({})


def main(host: str, port: int, name: str) -> None:
    state = Misbehaving(name)
    app = web.Application()
    app.add_routes([
        web.post("/writes", state.write),
        web.get("/reads", state.read),
        web.post("/login", state.log_in),
        web.get("/rows", state.stored),
        web.get("/rows/{id}", state.find),
        web.post("/behave", state.behave),
    ])  # fmt: skip
    web.run_app(app, host=host, port=port, print=None, handle_signals=True, shutdown_timeout=0.1, access_log=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
