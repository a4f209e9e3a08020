"""The fleet file: YAML with places, typed decoding, every problem at once. No network here."""
