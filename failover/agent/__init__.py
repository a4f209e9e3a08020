"""The process on every host: services, keeper, prober, HTTP API."""
