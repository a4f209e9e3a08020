"""What every handler of one web process shares. Must never be here: anything made per request."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from infra.app.database import Database
from infra.app.media_stores import MediaStores
from infra.app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Settings and the database of this process; `stores` where pictures are kept in object stores."""

    settings: Settings
    database: Database
    stores: MediaStores | None = None


def state_of(request: Request) -> State:
    state: State = request.app.state.shared
    return state
