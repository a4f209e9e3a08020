"""A TCP proxy in front of one voter that lets a chosen request pass and swallows its answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class ReplyEater:
    """``eat_next(path)``: the next request with ``path`` passes, its answer does not, and the connection hangs."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.eaten = 0
        self._eat = b""
        self._seen: list[bytes] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def eat_next(self, path: bytes) -> None:
        with self._lock:
            self._eat = path

    def requests(self, path: bytes) -> int:
        with self._lock:
            return self._seen.count(path)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_ones = list(self._sockets)
        for one in open_ones:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, call: object, *arguments: object) -> None:
        thread = threading.Thread(target=call, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                return
            server.settimeout(None)
            with self._lock:
                self._sockets += [client, server]
            eating = threading.Event()
            self._start(self._requests, client, server, eating)
            self._start(self._answers, server, client, eating)

    def _requests(self, client: socket.socket, server: socket.socket, eating: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                if piece.startswith(b"POST "):
                    path = piece.split(b" ", 2)[1]
                    with self._lock:
                        self._seen.append(path)
                        if path == self._eat:
                            self._eat = b""
                            self.eaten += 1
                            eating.set()
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def _answers(self, server: socket.socket, client: socket.socket, eating: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(65536):
                if not eating.is_set():
                    client.sendall(piece)
