"""`pulumi up` by hand starts here: one stack is one site, described by the stack's own configuration."""

from __future__ import annotations

import sys
from pathlib import Path

# The language host starts this folder as a program; the packages beside it are found from the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stacks.program import site

site()
