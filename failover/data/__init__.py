"""Byte pipelines between PostgreSQL and stores: backup, shipping, restore. They decide nothing."""
