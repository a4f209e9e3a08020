"""The social app: accounts, posts, follows, timeline, media and a worker. Imports nothing of failover."""
