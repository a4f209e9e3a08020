"""Is the process alive, and may it serve.

Must never be here: a query. A dead database must not make a live process look dead.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import json_response
from infra.app.state import State, state_of


async def health(request: Request) -> Response:
    """200 while the process lives, with the gate's state."""
    return json_response(_body(state_of(request)))


async def ready(request: Request) -> Response:
    """200 only while the gate is open and fresh: this process would start a transaction now."""
    state = state_of(request)
    return json_response(_body(state), status=200 if state.database.gate.is_open else 503)


def _body(state: State) -> dict[str, object]:
    database = state.database
    return {
        "status": "alive",
        "site": state.settings.site,
        "ready": database.gate.is_open,
        "gate": msgspec.to_builtins(database.gate.answer()),
        "pools": {site: pool.counts() for site, pool in database.pools.items()},
        "abandoned": database.abandoned,
        "retried": database.retried,
    }
