"""The program of the stack, served to the engine from this process: no language plug-in is needed, only the SDK."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc


class _Noting(LanguageServer):
    """Keeps the program's own failure: the engine hands back only its text."""

    def __init__(self, program: Callable[[], None], failures: list[str]) -> None:
        super().__init__(program)
        self._failures = failures

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        response = super().Run(request, context)
        if response.error:
            self._failures.append(response.error)
        return response


@contextlib.contextmanager
def served(program: Callable[[], None]) -> Iterator[tuple[str, list[str]]]:
    """Address for ``--client``, and a list that holds the program's failures afterwards."""
    failures: list[str] = []
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(_Noting(program, failures), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", failures
    finally:
        server.stop(0)
