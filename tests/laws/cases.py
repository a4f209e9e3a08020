"""Every case: importing the chapters registers them."""

from __future__ import annotations

from tests.laws import acknowledged, hosts, members, record, time_and_reads
from tests.laws.law import CASES

__all__ = ("CASES", "acknowledged", "hosts", "members", "record", "time_and_reads")
