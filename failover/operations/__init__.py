"""Whole operations: inspect reads, carry_out is the one path of every change."""
