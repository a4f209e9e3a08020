"""The Pulumi program of one site, and what runs it safely. A program of its own: ``failover/`` only starts it."""
