"""Tells an age recipient from what is none: by its form and its checksum, so that one wrong letter is seen here and not
on the worst day. Loads no cryptography: ``validate`` and ``status`` read the file too.
"""

from __future__ import annotations

import base64
import binascii
import re

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6
# Letters of five bits that hold the key, by the recipient's kind: X25519, and hardware keys without and with a
# post-quantum part. What comes out at the end must be whole bytes.
_BYTES = {"age": 32, "age1tag": 33, "age1tagpq": 1249}
_SSH = re.compile(r"(?P<kind>ssh-ed25519|ssh-rsa) (?P<key>[A-Za-z0-9+/]+={0,2})( [^\n]*)?")


def fault(text: str) -> str:
    """Why ``text`` is no recipient that snapshots can be encrypted to, or ``""``. Never repeats the text."""
    if text.upper().startswith("AGE-SECRET-KEY") or "PRIVATE KEY" in text:
        return "this is a private key: whoever reads this file could open every snapshot"
    if text.startswith("ssh-"):
        return "" if _is_ssh(text) else "this is no SSH public key"
    prefix, mark, rest = text.rpartition("1")
    if not mark or prefix not in _BYTES:
        return "this is no age recipient"
    if text != text.lower() or any(letter not in _LETTERS for letter in rest) or len(rest) <= _CHECKSUM:
        return "this is no age recipient: it has a letter that none has, or is cut off"
    if _remainder([*_spread(prefix), *(_LETTERS.index(letter) for letter in rest)]) != 1:
        return "a letter of it is wrong: its checksum does not fit"
    if (len(rest) - _CHECKSUM) != -(-_BYTES[prefix] * 8 // 5):
        return "this is no age recipient: its length is wrong"
    return ""


def _is_ssh(text: str) -> bool:
    match = _SSH.fullmatch(text)
    if match is None:
        return False
    try:
        blob = base64.b64decode(match["key"], validate=True)
    except (binascii.Error, ValueError):
        return False
    name = match["kind"].encode()
    return blob[:4] == len(name).to_bytes(4, "big") and blob[4 : 4 + len(name)] == name and len(blob) > 4 + len(name)


def _spread(prefix: str) -> list[int]:
    return [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]


def _remainder(values: list[int]) -> int:
    """Of bech32's checksum (BIP 173), which age's recipients end with; 1 when it fits."""
    left = 1
    for value in values:
        top = left >> 25
        left = (left & 0x1FFFFFF) << 5 ^ value
        for index, generator in enumerate(_GENERATORS):
            left ^= generator if top >> index & 1 else 0
    return left
