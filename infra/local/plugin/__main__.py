"""Serves the local provider to one engine: prints the port, ends with the engine. Standard output is the engine's."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from concurrent import futures

import grpc

from infra.local.plugin.provider import LocalProvider, provider_pb2_grpc

_PARENT_CHECK_S = 0.2


def _end_with(parent: int) -> None:
    # An engine that is killed says nothing, and its plug-in would live for ever.
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


def _engine_lives(arguments: list[str]) -> bool:
    """The engine gives its address as the last argument; nobody there means that it died while we started."""
    address, _, port = arguments[-1].rpartition(":")
    try:
        with socket.create_connection((address, int(port)), timeout=2):
            return True
    except OSError:
        return False


def main() -> None:
    """Serve until the engine interrupts us or is gone."""
    parent = os.getppid()
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(0))
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(LocalProvider(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    if len(sys.argv) > 1 and not _engine_lives(sys.argv):
        os._exit(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
