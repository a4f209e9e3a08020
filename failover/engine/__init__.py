"""Carries out plans: journal, lease, executor. Decides nothing."""
