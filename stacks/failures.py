"""How a run of one stack can end badly. ``code`` becomes an error of ``failover``; texts hold no secret."""

from __future__ import annotations


class StackFailure(Exception):
    """``code``: unreachable, lease-held, damaged, denied, usage, program, interrupted or timeout."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
