"""An HTTP proxy on loopback in front of a store that spoils chosen requests. The store behind it is real."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, Self

Fault = Literal["lost reply", "hang", "drip", "cut body", "flip answer", "flip request"]


@dataclass
class Spoil:
    """What happens to the next ``times`` requests with ``method`` (after ``after`` good ones). ``status``: answered
    without asking the store, with ``code`` as S3 tells it."""

    fault: Fault | None = None
    status: int = 0
    code: str = ""
    method: str = ""
    after: int = 0
    times: int = 1


class FaultyStore:
    """``address`` is where the store seems to be; ``spoil`` what is wrong with it."""

    def __init__(self, upstream: str) -> None:
        self.spoil: Spoil | None = None
        self.spoilt = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self) -> None:
                proxy._serve(self, upstream)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _due(self, method: str) -> Spoil | None:
        with self._lock:
            spoil = self.spoil
            if spoil is None or spoil.times == 0 or (spoil.method and spoil.method != method):
                return None
            if spoil.after:
                spoil.after -= 1
                return None
            spoil.times -= 1
            self.spoilt += 1
            return spoil

    def _serve(self, ask: BaseHTTPRequestHandler, upstream: str) -> None:
        body = ask.rfile.read(int(ask.headers.get("Content-Length") or 0))
        spoil = self._due(ask.command)
        fault = spoil.fault if spoil is not None else None
        if spoil is not None and spoil.status:
            self._answer(ask, spoil.status, [], f"<Error><Code>{spoil.code}</Code></Error>".encode())
            return
        if fault == "hang":
            self._over.wait()
            ask.close_connection = True
            return
        if fault == "flip request":
            body = _flipped(body)
        link = http.client.HTTPConnection(upstream, timeout=30)
        try:
            link.putrequest(ask.command, ask.path, skip_host=True, skip_accept_encoding=True)
            for name, value in ask.headers.items():
                link.putheader(name, value)
            link.endheaders(body)
            answer = link.getresponse()
            content = answer.read()
        finally:
            link.close()
        if fault == "lost reply":
            ask.close_connection = True
            return
        if fault == "flip answer":
            content = _flipped(content)
        self._answer(ask, answer.status, answer.getheaders(), content, fault)

    def _answer(
        self,
        ask: BaseHTTPRequestHandler,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        fault: Fault | None = None,
    ) -> None:
        ask.send_response(status)
        kept = [(name, value) for name, value in headers if name.lower() not in _OF_THE_LINK]
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        for name, value in kept:
            ask.send_header(name, value)
        ask.send_header("Content-Length", length if length and ask.command == "HEAD" else str(len(content)))
        ask.end_headers()
        if ask.command == "HEAD":
            return
        if fault == "cut body":
            ask.wfile.write(content[: len(content) // 2])
            ask.close_connection = True
        elif fault == "drip":
            self._drip(ask, content)
        else:
            ask.wfile.write(content)

    def _drip(self, ask: BaseHTTPRequestHandler, content: bytes) -> None:
        """A byte now and then, forever: each read succeeds, the whole never ends."""
        for at in range(len(content)):
            if self._over.is_set():
                break
            try:
                ask.wfile.write(content[at : at + 1])
                ask.wfile.flush()
            except OSError:  # the client had enough
                break
            time.sleep(0.1)
        ask.close_connection = True


_OF_THE_LINK = {"content-length", "transfer-encoding", "connection", "date", "server"}


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
