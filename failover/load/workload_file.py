"""A workload's YAML -> ``Workload``, strict, every problem in one run.

Must never be here: reading secrets, the network.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from failover.config.decode import Value
from failover.config.names import did_you_mean
from failover.config.nodes import Kind, Mapping, Node, Scalar, Sequence, parse_nodes
from failover.config.problems import Problems
from failover.config.source import read_text
from failover.errors import ConfigError
from failover.load.pick import WHERE
from failover.load.references import REFERENCE
from failover.load.template import Template
from failover.load.workload import (
    LOGIN_NAMES,
    MARK_NAMES,
    READ_BACK_NAMES,
    READ_NAMES,
    WRITE_NAMES,
    HttpRequest,
    Login,
    Read,
    ReadBack,
    ReadMark,
    ServedBy,
    Stream,
    Upload,
    Workload,
    Write,
)
from failover.model.finding import Finding, Severity

MOST_CLIENTS = 1000
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_HEADER = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_BOUND = re.compile(r"%\(([a-z_]*)\)s|%%|(%)")


class WorkloadFileError(ConfigError):
    """The workload's file has errors: the message lists them, ``findings`` has the warnings too."""

    def __init__(self, path: Path, findings: tuple[Finding, ...]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        lines = (f"{finding.place or path}: {finding.message}" for finding in errors)
        super().__init__("\n".join(lines), hint=errors[0].hint if errors else "")
        self.findings = findings


def load_workload(path: Path) -> Workload:
    """The workload. Raises ``WorkloadFileError`` with every finding."""
    workload, findings = check_workload(path)
    if workload is None:
        raise WorkloadFileError(path, findings)
    return workload


def check_workload(path: Path) -> tuple[Workload | None, tuple[Finding, ...]]:
    """The workload, or ``None`` when there is an error, and all findings. Never raises for what is in the file."""
    problems = Problems(str(path))
    text = read_text(path, problems)
    root = None if text is None else parse_nodes(text, problems)
    workload = None
    if root is not None:
        problems.stands((), key=None, value=root.place)
        workload = _workload(Value(problems, (), root))
    return (None if problems.fatal else workload), problems.findings()


def _workload(value: Value) -> Workload:
    keys = (
        "name", "clients", "secrets", "login", "write", "reads", "streams", "uploads", "mark", "served_by", "read_back",
    )  # fmt: skip
    table = value.table(*keys, example="name: my app", may_be_empty=False)
    secrets = _secrets(table.optional("secrets"))
    login, kept = _logins(table.optional("login"), frozenset(secrets))
    served = table.optional("served_by").table("site_header", "epoch_header", example="site_header: x-served-primary")
    read_back = table.required("read_back", "the SQL below it").table("sql", example="sql: SELECT …")
    name = table.required("name", "my app").text()
    return Workload(
        name=name,
        clients=table.optional("clients").integer(16, low=1, high=MOST_CLIENTS),
        login=login,
        write=_write(table.required("write", "the write request below it"), kept),
        reads=tuple(_read(item, kept) for item in table.optional("reads").items()),
        streams=tuple(_stream(item, kept) for item in table.optional("streams").items()),
        uploads=tuple(_upload(item, kept) for item in table.optional("uploads").items()),
        mark=_mark(table.optional("mark"), kept),
        served_by=ServedBy(
            site_header=_header(served.optional("site_header")), epoch_header=_header(served.optional("epoch_header"))
        ),
        read_back=ReadBack(sql=_sql(read_back.required("sql", "SELECT …"))),
        secrets=secrets,
    )


def _secrets(value: Value) -> dict[str, str]:
    secrets = {}
    for name, where in value.entries(example="api_key: env:API_KEY"):
        _check_name(where, name)
        text = where.text()
        if text and REFERENCE.fullmatch(text) is None:
            where.wrong("bad-reference", "a secret is not written here", "write env:NAME or file:/absolute/path")
        secrets[name] = text
    return secrets


def _logins(value: Value, known: frozenset[str]) -> tuple[tuple[Login, ...], frozenset[str]]:
    """The steps, and every name the requests after them may use."""
    steps = []
    for item in value.items():
        table = item.table("method", "path", "headers", "json", "body", "accept", "keep", example="method: POST")
        request = _request(item, known | LOGIN_NAMES, "accept")
        keep = {}
        for name, where in table.optional("keep").entries(example="token: json:token"):
            _check_name(where, name)
            keep[name] = _place(where)
        known |= frozenset(keep)
        steps.append(Login(request=request, keep=keep))
    return tuple(steps), known


def _write(value: Value, known: frozenset[str]) -> Write:
    keys = ("idempotent", "method", "path", "headers", "json", "body", "acknowledged")
    table = value.table(*keys, example="method: POST")
    idempotent = table.required("idempotent", "true or false").boolean(False)
    request = _request(value, known | WRITE_NAMES, "acknowledged")
    texts = Template(request.path).names + Template(request.body).names
    if value.sound_here and value.present and "id" not in texts:
        hint = "put {id} where the app stores it, so that it can be found again"
        value.wrong("no-id", "neither path nor body holds {id}", hint)
    return Write(request=request, idempotent=idempotent)


def _read(value: Value, known: frozenset[str]) -> Read:
    table = value.table("method", "path", "headers", "json", "body", "accept", "weight", example="method: GET")
    weight = table.optional("weight").integer(1, low=1, high=1000)
    return Read(request=_request(value, known | READ_NAMES, "accept"), weight=float(weight))


def _stream(value: Value, known: frozenset[str]) -> Stream:
    table = value.table("method", "path", "headers", "accept", "clients", example="method: GET")
    clients = table.optional("clients").integer(4, low=1, high=MOST_CLIENTS)
    return Stream(request=_request(value, known | READ_NAMES, "accept"), clients=clients)


def _upload(value: Value, known: frozenset[str]) -> Upload:
    keys = ("method", "path", "headers", "accept", "size_bytes", "takes", "every", "begins")
    table = value.table(*keys, example="method: POST")
    return Upload(
        request=_request(value, known | WRITE_NAMES, "accept"),
        size_bytes=table.required("size_bytes", "300000").integer(1, low=1, high=1 << 30),
        takes_s=table.required("takes", "8s").seconds(8.0, low="100ms", high="10m"),
        every_s=table.required("every", "2s").seconds(2.0, low="100ms", high="10m"),
        begins=table.optional("begins").text() if table.optional("begins").present else "",
    )
def _mark(value: Value, known: frozenset[str]) -> ReadMark | None:
    if not value.present:
        return None
    table = value.table("keep", "method", "path", "headers", "json", "body", "accept", "stale", example="keep: json:id")
    keep = _place(table.required("keep", "json:id"))
    stale = tuple(item.integer(404, low=100, high=599) for item in table.required("stale", "[404]").items())
    request = _request(value, known | MARK_NAMES, "accept")
    if value.sound_here and "mark" not in Template(request.path).names + Template(request.body).names:
        value.wrong("no-mark", "neither path nor body holds {mark}", "ask for what `keep` took from the write's answer")
    return ReadMark(keep=keep, request=request, stale=stale)


def _place(value: Value) -> str:
    text = value.text()
    if text and WHERE.fullmatch(text) is None:
        value.wrong("bad-place", f"{text!r} is no place in an answer", "write json:a.b, header:Name or cookie:name")
    return text


def _request(value: Value, known: frozenset[str], accept: str) -> HttpRequest:
    """The parts every request has. Unknown keys of ``value`` were reported by the caller's own table."""
    parts = dict(value.entries(example="method: GET"))
    absent = Value(value.problems, value.path, None)
    for key, example in (("method", "GET"), ("path", "/posts"), (accept, "[200]")):
        if key not in parts and value.present and value.sound_here:
            value.problems.error("missing-key", value.path, f"{key} is missing", f"add {key}: {example}", at_key=True)
    path = parts.get("path", absent).text()
    if path and not path.startswith("/"):
        parts["path"].wrong("bad-path", f"{path!r} does not begin with /", "write the path below the app's public name")
    headers = {}
    for name, header in parts.get("headers", absent).entries(example="Accept: application/json"):
        if _HEADER.fullmatch(name) is None:
            header.wrong("bad-header", f"{name!r} cannot be the name of a header", "letters, digits and dashes")
        headers[name] = header.verbatim()
        _check_names(header, headers[name], known)
    body = parts.get("body", absent).verbatim()
    _check_names(parts.get("body", absent), body, known)
    _check_names(parts.get("path", absent), path, known)
    as_json = parts.get("json")
    if as_json is not None and "body" in parts:
        as_json.wrong("two-bodies", "json and body are both there", "keep one of the two")
    elif as_json is not None and as_json.node is not None:
        body = json.dumps(_json(as_json, as_json.node), ensure_ascii=False)
        _check_names(as_json, body, known)
    return HttpRequest(
        method=parts.get("method", absent).choice(METHODS, "GET"),
        path=path,
        headers=headers,
        body=body,
        json_body=as_json is not None,
        accept=tuple(item.integer(200, low=100, high=599) for item in parts.get(accept, absent).items()),
    )


def _json(value: Value, node: Node) -> object:
    """The JSON value a node stands for. What was refused is reported already."""
    match node:
        case Mapping():
            return {entry.key: _json(value, entry.value) for entry in node.entries}
        case Sequence():
            return [_json(value, item) for item in node.items]
        case Scalar(kind=Kind.TEXT, text=text):
            return text
        case Scalar(kind=Kind.NOTHING):
            return None
        case Scalar(kind=Kind.BOOLEAN, text=text) if text in ("true", "false"):
            return text == "true"
        case Scalar(kind=Kind.WHOLE | Kind.NUMBER, text=text):
            return _number(value, text)
        case Scalar(text=text):
            value.wrong("wrong-type", f"{text} is not true or false in JSON", f'write true, false or "{text}"')
    return None


def _number(value: Value, text: str) -> float | int:
    try:
        number = int(text) if re.fullmatch(r"-?(0|[1-9][0-9]*)", text) else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        value.wrong("wrong-type", f"{text} is not a number in JSON", f'write it in decimal, or as "{text}"')
        return 0
    return number


def _sql(value: Value) -> str:
    sql = value.text().strip()
    found = list(_BOUND.finditer(sql))
    if sql and not any(match[1] in READ_BACK_NAMES for match in found):
        hint = "use %(prefix)s, as starts_with(note, %(prefix)s)"
        value.wrong("no-prefix", "the statement would read the rows of every run", hint)
    for match in found:
        if match[2] is not None:
            value.wrong("bare-percent", "a lone % cannot stand in the statement", "write %% for a percent sign")
        elif match[1] is not None and match[1] not in READ_BACK_NAMES:
            hint = did_you_mean(match[1], tuple(sorted(READ_BACK_NAMES)))
            value.wrong("unknown-name", f"%({match[1]})s is not bound", hint)
    return sql


def _header(value: Value) -> str:
    name = value.text()
    if name and _HEADER.fullmatch(name) is None:
        value.wrong("bad-header", f"{name!r} cannot be the name of a header", "letters, digits and dashes")
    return name


def _check_name(value: Value, name: str) -> None:
    taken = LOGIN_NAMES | READ_NAMES | WRITE_NAMES
    if _NAME.fullmatch(name) is None or name in taken:
        value.wrong("bad-name", f"{name!r} cannot be a name here", "a-z, 0-9 and _, not " + ", ".join(sorted(taken)))


def _check_names(value: Value, text: str, known: frozenset[str]) -> None:
    for name in _unknown(text, known):
        known_here = f"known here: {', '.join(sorted(known))}; {{{{ is a literal {{"
        hint = did_you_mean(name, tuple(sorted(known))) or known_here
        value.wrong("unknown-name", f"{{{name}}} is not known here", hint)


def _unknown(text: str, known: frozenset[str]) -> Iterator[str]:
    yield from dict.fromkeys(name for name in Template(text).names if name not in known)
