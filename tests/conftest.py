"""What holds for every test of the project."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says more about the machine than about the code: it is shared by fleets and other tests.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
