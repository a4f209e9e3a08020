"""Two copies of a database, as most tests here want them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.postgres.copies import Copy, streaming


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[tuple[Copy, Copy]]:
    """alpha a primary that waits for nobody, beta its streaming standby."""
    alpha, beta = Copy(tmp_path, "alpha"), Copy(tmp_path, "beta")
    with streaming(alpha, beta):
        yield alpha, beta
