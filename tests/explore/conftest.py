"""Says at the end of a run how many worlds were visited, and in how much processor time."""

from __future__ import annotations

import pytest

VISITED = pytest.StashKey[dict[str, tuple[int, float]]]()


@pytest.fixture
def visited(request: pytest.FixtureRequest) -> dict[str, tuple[int, float]]:
    """Per search: distinct worlds, processor seconds. Filled by the tests, shown below."""
    return request.config.stash.setdefault(VISITED, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line, where people look for the result of the run."""
    found = config.stash.get(VISITED, {})
    if found:
        worlds, cpu_s = sum(states for states, _ in found.values()), sum(spent for _, spent in found.values())
        terminalreporter.write_line(
            f"explorer: {len(found)} searches, each to its end: {worlds} distinct worlds in {cpu_s:.1f} CPU seconds"
        )
