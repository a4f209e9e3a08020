"""Who opens a snapshot and who signed it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from failover.errors import Damaged, Denied, UsageError
from failover.model.secret import Secret
from failover.trust.age import AgeKey, check_recipients, decrypt, encrypt, refusals
from failover.trust.seal import SealKey, open_seal

PLAIN = bytes(range(256)) * 1000


def sealed(keys: list[AgeKey]) -> bytes:
    out = BytesIO()
    encrypt(BytesIO(PLAIN), out, [key.public for key in keys])
    return out.getvalue()


def test_each_recipient_alone_opens_it_and_nobody_else() -> None:
    online, drawer, stranger = AgeKey.new(), AgeKey.new(), AgeKey.new()
    ciphertext = sealed([online, drawer])
    for key in (online, drawer):
        out = BytesIO()
        decrypt(BytesIO(ciphertext), out, [key])
        assert out.getvalue() == PLAIN
    assert tuple(refusals(ciphertext, [online, drawer])) == ()
    assert tuple(refusals(ciphertext, [online, stranger])) == (stranger.public,)


@pytest.mark.parametrize("place", [30, 500, 100_000, -1])
def test_an_altered_ciphertext_does_not_open(place: int) -> None:
    key = AgeKey.new()
    ciphertext = bytearray(sealed([key]))
    ciphertext[place] ^= 1
    with pytest.raises(Denied):
        decrypt(BytesIO(bytes(ciphertext)), BytesIO(), [key])
    with pytest.raises(Denied):
        decrypt(BytesIO(sealed([key])[:-1]), BytesIO(), [key])


def test_two_different_recipients_are_needed() -> None:
    one, other = AgeKey.new().public, AgeKey.new().public
    check_recipients([one, other])
    for wrong in ([one], [one, one], [one, "age1nonsense"]):
        with pytest.raises(UsageError):
            check_recipients(wrong)


def test_a_key_file_as_age_keygen_writes_it() -> None:
    key = AgeKey.new()
    again = AgeKey.read(f"# created: today\n# public key: {key.public}\n{key.secret.reveal()}\n")
    assert again.public == key.public
    assert key.secret.reveal() not in repr(vars(again))
    for wrong in ("", f"{key.secret.reveal()[:-4]}\n"):
        with pytest.raises(UsageError):
            AgeKey.read(wrong)


def test_a_seal_holds(tmp_path: Path) -> None:
    key, other = SealKey.at(tmp_path / "seal.key"), SealKey.at(tmp_path / "other.key")
    assert SealKey.at(tmp_path / "seal.key").public == key.public
    assert (tmp_path / "seal.key").stat().st_mode & 0o077 == 0
    raw = key.seal(b'{"id":"x"}')
    assert open_seal(raw, trusted=[key.public], what="m") == b'{"id":"x"}'
    with pytest.raises(Denied):
        open_seal(raw, trusted=[other.public], what="m")
    for place, bit in ((place, bit) for place in range(len(raw)) for bit in (0x01, 0x20)):
        altered = raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :]
        with pytest.raises((Damaged, Denied)):
            open_seal(altered, trusted=[key.public], what="m")
    for length in range(len(raw)):
        with pytest.raises(Damaged):
            open_seal(raw[:length], trusted=[key.public], what="m")
    with pytest.raises(ValueError, match="one line"):
        key.seal(b"a\nb")
    assert SealKey(Secret("11" * 32)).public == SealKey(Secret("11" * 32)).public
