"""Makes msgspec's tables for our values before any thread decodes one.

msgspec (0.22) fills the table of a Struct when it is first decoded, and shows it to other threads half filled: two
threads that decode their first ``AgentState`` at once crashed the interpreter (19 of 40 runs). So every process that
decodes in threads calls this first, in one thread. What must never be here: anything else.
"""

from __future__ import annotations

from types import ModuleType

import msgspec


def ready(*modules: ModuleType) -> None:
    """Make the tables of every Struct the modules define. Repeatable, and cheap the second time."""
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__:
                msgspec.json.Decoder(value)
