"""Our check of a recipient agrees with age's own, and finds every wrong letter."""

from __future__ import annotations

import pyrage
import pytest

from failover.config.recipients import fault
from failover.errors import UsageError
from failover.trust.age import AgeKey, check_recipients
from tests.config.examples import HERE

TAG = next(
    line.strip().removeprefix("- ")
    for line in (HERE / "valid" / "stores-keys-of-other-kinds.yaml").read_text().splitlines()
    if "age1tag" in line
)
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def taken(text: str) -> bool:
    try:
        check_recipients([text], minimum=1)
    except UsageError:
        return False
    return True


def test_what_age_makes_is_taken() -> None:
    for _ in range(20):
        assert fault(AgeKey.new().public) == ""
    assert fault(TAG) == "" and taken(TAG)


@pytest.mark.parametrize("recipient", [AgeKey.new().public, TAG], ids=["x25519", "hardware"])
def test_no_wrong_letter_passes(recipient: str) -> None:
    for place in range(len(recipient)):
        for letter in (*LETTERS, "1", "b", "B", "é"):
            wrong = recipient[:place] + letter + recipient[place + 1 :]
            if wrong != recipient:
                assert fault(wrong), wrong
    for wrong in (recipient[:-1], recipient + "q", recipient[1:], recipient.upper(), "", "age1", "1"):
        assert fault(wrong), wrong
        assert not taken(wrong) or wrong == recipient.upper()


def test_a_private_key_is_told_as_one_and_not_repeated() -> None:
    secret = str(pyrage.x25519.Identity.generate())
    assert "private" in fault(secret) and secret not in fault(secret)
