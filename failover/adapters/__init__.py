"""The only modules that speak to the outside. Wired in cli/wiring.py and agent/main.py alone."""
