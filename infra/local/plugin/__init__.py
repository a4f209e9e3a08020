"""The Pulumi provider plug-in behind ``infra/local``: resources Host and Zone. Runs as a process of the engine."""
