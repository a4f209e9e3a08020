"""The page: HTML, CSS, JavaScript, icons. Served as they are by infra.app.static; no Python here."""
