"""Secrets a workload only names: ``env:NAME`` or ``file:PATH``, read where they are used and never written down."""

from __future__ import annotations

import os
import re
from pathlib import Path

from failover.errors import UsageError
from failover.model.secret import Secret

REFERENCE = re.compile(r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$")


def resolve(reference: str) -> Secret:
    """The secret. Raises ``UsageError`` when there is none; the message names the reference, never the value."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        text = os.environ.get(name)
        if text is None:
            raise UsageError(f"the workload's secret {reference} is not set", hint=f"export {name}")
        return Secret(text)
    try:
        return Secret(Path(name).read_text(encoding="utf-8").rstrip("\n"))
    except OSError as failure:
        raise UsageError(f"the workload's secret {reference} cannot be read: {failure.strerror}") from failure
