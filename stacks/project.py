"""The generated project and stack configuration of one site. Both are derived: lost or cut short, they are made again.

Each fleet has its own project folder, so that several fleets run beside each other on one checkout; the checkout's own
``Pulumi.yaml`` points at the configuration and state of ``stacks/fleet.yaml``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Any

import msgspec
import yaml

from stacks.cipher import Cipher, WrongPassphrase
from stacks.failures import StackFailure
from stacks.request import PROJECT, Layout, Request

_HEADER = "# Made by failover from the fleet file; the next deploy writes it again.\n"


def write_project(layout: Layout, root: Path) -> None:
    """``Pulumi.yaml`` beside the stack's configuration, good for `pulumi up` by hand in that folder too."""
    project = {
        "name": PROJECT,
        "runtime": {"name": "python", "options": {"virtualenv": str(root / ".venv")}},
        "main": str(root / "stacks"),
        "backend": {"url": layout.backend.as_uri()},
        "plugins": {"providers": [{"name": "local", "path": str(root / "infra" / "local" / "plugin")}]},
    }
    _write(layout.project / "Pulumi.yaml", _HEADER + yaml.safe_dump(project, sort_keys=False))


def write_config(layout: Layout, request: Request, state_salt: str | None) -> None:
    """The stack's configuration with the request's values; written only when one of them differs.

    The salt of the stack's state wins over the file's: a file with another salt leaves a stack that nobody can open.
    Raises ``StackFailure`` denied when the passphrase opens neither.
    """
    if state_salt is not None and _text(layout.seal) == _seal(layout, request, state_salt):
        return
    stored = _read(layout.config)
    file_salt = stored.get("encryptionsalt")
    try:
        cipher = Cipher(request.passphrase, state_salt or file_salt)
    except WrongPassphrase:
        raise StackFailure(
            "denied",
            f"the passphrase does not open the stack of {request.stack}",
            f"put the fleet's own passphrase back (trust/passphrase); it was made together with {layout.backend}",
        ) from None
    if file_salt == cipher.salt and _values(stored, cipher) == (request.config, request.secrets):
        _write(layout.seal, _seal(layout, request, cipher.salt))
        return
    config: dict[str, Any] = {f"{PROJECT}:{key}": value for key, value in sorted(request.config.items())}
    config |= {f"{PROJECT}:{key}": {"secure": cipher.encrypt(text)} for key, text in sorted(request.secrets.items())}
    _write(layout.config, _HEADER + yaml.safe_dump({"encryptionsalt": cipher.salt, "config": config}))
    _write(layout.seal, _seal(layout, request, cipher.salt))


def _seal(layout: Layout, request: Request, salt: str) -> str:
    """Proof that the file was made from this very request, with this very passphrase and the state's own salt.

    It saves a key derivation (0.3 s of CPU) in every run that changes nothing. It stays in the state folder, whose
    neighbour is the passphrase itself, and is never copied elsewhere: it would ease guessing a weak passphrase.
    """
    parts = [_text(layout.config), salt, sorted(request.config.items()), sorted(request.secrets.items())]
    return hmac.new(request.passphrase.encode(), msgspec.json.encode(parts), hashlib.sha256).hexdigest()


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (FileNotFoundError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _values(stored: dict[str, Any], cipher: Cipher) -> tuple[dict[str, str], dict[str, str]] | None:
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, value in (stored.get("config") or {}).items():
        key = str(name).removeprefix(f"{PROJECT}:")
        if isinstance(value, dict):
            try:
                secret[key] = cipher.decrypt(value["secure"])
            except (WrongPassphrase, KeyError, ValueError):
                return None
        else:
            plain[key] = str(value)
    return plain, secret


def _write(path: Path, text: str) -> None:
    if _text(path) == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
