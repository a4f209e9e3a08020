"""The version of this code, as agents and commands report it. A test compares it with pyproject.toml.

A host's bootstrap names the version it was born with, which never changes; what runs there is what this says.
"""

VERSION = "0.1.0"
