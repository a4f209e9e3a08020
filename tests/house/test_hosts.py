"""The project names no package registry's host and no path of the machine it was written on: both change under it."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, files

# In pieces, so that this file passes its own test.
HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "crates" + ".io",
    "proxy.golang" + ".org",
    "sum.golang" + ".org",
    "registry.npmjs" + ".org",
    "repo1.maven" + ".org",
    "repo.maven" + ".apache.org",
    "deb.debian" + ".org",
    "security.debian" + ".org",
]
PLACES = ["/" + "work/(?:main|shared|\\.library)", "/" + "tmp/(?:v|team)/", "/" + "root/", "/" + "opt/wheels"]
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), *PLACES]), re.IGNORECASE)


@pytest.mark.parametrize("name", [str(path) for path in files()])
def test_file_names_no_registry_and_no_machine(name: str) -> None:
    text = (ROOT / name).read_bytes().decode("utf-8", errors="replace")
    found = [f"line {text.count(chr(10), 0, hit.start()) + 1}: {hit[0]}" for hit in FORBIDDEN.finditer(text)]
    assert not found


def test_a_host_and_a_path_are_seen() -> None:
    assert FORBIDDEN.search("https://PYPI" + ".org/simple")
    assert FORBIDDEN.search("cd /" + "work/main")
