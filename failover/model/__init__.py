"""Frozen values that every layer shares. No I/O here, ever."""
