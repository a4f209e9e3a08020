"""The example files beside this one: ``NAME.yaml`` and the report ``NAME.expected`` of it, word for word.

After a wanted change of words: ``FAILOVER_WRITE_EXPECTED=1 pytest tests/config/test_examples.py``, then read the diff.
"""

from __future__ import annotations

from pathlib import Path

from failover.config.fleet import check_fleet_bytes
from failover.model.finding import Finding
from failover.model.fleet import Fleet

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
VALID = sorted((HERE / "valid").glob("*.yaml"))


def check(file: Path) -> tuple[Fleet | None, tuple[Finding, ...]]:
    """The file checked under its bare name, so that a report does not depend on where the checkout lies."""
    return check_fleet_bytes(file.read_bytes(), file.name)
