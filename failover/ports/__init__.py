"""One Protocol per file, with the Traits its adapters declare. No implementation here."""
