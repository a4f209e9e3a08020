"""What a drill asks of an app, so that any HTTP app can be driven: values only, decoded by ``workload_file``.

A workload says how each client logs in, what a write is and which answer acknowledges it, what is read meanwhile, and
the SQL that lists the writes the database holds. Must never be here: YAML, sockets.
"""

from __future__ import annotations

import msgspec

# What a template may name besides the workload's own ``secrets`` and what ``keep`` took from log-in answers.
LOGIN_NAMES = frozenset({"run", "client", "password"})
READ_NAMES = frozenset({"run", "client", "number"})
WRITE_NAMES = frozenset({"run", "client", "number", "id"})
MARK_NAMES = READ_NAMES | {"mark"}
READ_BACK_NAMES = frozenset({"run", "prefix"})


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as templates. ``json_body`` says that ``body`` is JSON: values are escaped into it and the content
    type is set. ``accept``: the statuses that count as success (for the write: that acknowledge it)."""

    method: str
    path: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: str = ""
    json_body: bool = False
    accept: tuple[int, ...]


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A step of every client before the load. ``keep``: name -> where its value is in the answer
    (``json:a.b.0``, ``header:Name`` or ``cookie:name``)."""

    request: HttpRequest
    keep: dict[str, str] = msgspec.field(default_factory=dict)


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """The write. ``idempotent``: the app answers a repeated ``{id}`` without doing it twice, so failures are retried
    with the same id; otherwise a write is sent once and what has no clear answer is counted as ambiguous."""

    request: HttpRequest
    idempotent: bool


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A read; each is drawn with probability ``weight`` / sum of weights."""

    request: HttpRequest
    weight: float = 1.0


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A websocket's plainer sister: an answer that goes on (server-sent events). ``clients`` hold it open all the time
    and open it again when it ends; every opening is counted."""

    request: HttpRequest
    clients: int = 4


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A body sent slowly: ``size_bytes`` evenly over ``takes_s``, one begun every ``every_s``, none sent twice.
    ``begins``: the body's first characters, for an app that looks at them."""

    request: HttpRequest
    size_bytes: int
    takes_s: float
    every_s: float
    begins: str = ""


class ReadMark(msgspec.Struct, frozen=True, kw_only=True):
    """How a stale read is known by its content: ``keep`` takes a value out of an acknowledged write's answer (as in
    ``Login``), ``request`` asks for it as ``{mark}``; a status in ``stale`` says that it is not there."""

    keep: str
    request: HttpRequest
    stale: tuple[int, ...]


class ServedBy(msgspec.Struct, frozen=True, kw_only=True):
    """Headers of an answer that name the primary whose database it used, and the epoch. "" when there are none."""

    site_header: str = ""
    epoch_header: str = ""


class ReadBack(msgspec.Struct, frozen=True, kw_only=True):
    """``sql`` runs on the final primary and gives one row per stored write, its id in the first column; a write
    stored twice must give two rows. Bound parameters: ``%(prefix)s`` (what every id of the run begins with) and
    ``%(run)s``."""

    sql: str


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``secrets``: name -> ``env:NAME`` or ``file:PATH``, read by the generator only."""

    name: str
    clients: int = 16
    login: tuple[Login, ...] = ()
    write: Write
    reads: tuple[Read, ...] = ()
    streams: tuple[Stream, ...] = ()
    uploads: tuple[Upload, ...] = ()
    mark: ReadMark | None = None
    served_by: ServedBy = ServedBy()
    read_back: ReadBack
    secrets: dict[str, str] = msgspec.field(default_factory=dict)


def write_id(run: str, number: int) -> str:
    """The unique id of the ``number``-th write of a run."""
    return f"{id_prefix(run)}{number:07d}"


def id_prefix(run: str) -> str:
    """What every write id of ``run`` begins with, and no id of another run."""
    return f"{run}.w"
