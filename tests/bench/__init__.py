"""Benchmarks: ratios measured in one run on real parts, never timed tests. ``script/bench NAME``."""
