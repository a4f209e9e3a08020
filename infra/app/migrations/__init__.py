"""Numbered SQL files, applied in order by infra.app.migrate; a file that was applied is never changed again."""
