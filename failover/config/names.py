"""Names an operator may choose, and the words in which a message speaks of what stands in the file."""

from __future__ import annotations

import difflib
import re
from enum import Enum

from failover.config.nodes import Kind, Mapping, Node, Refused, Scalar, Sequence
from failover.config.problems import clipped, plain


class Name(Enum):
    """Kinds of names: pattern, and the words for it."""

    SITE = (re.compile(r"[a-z][a-z0-9]{0,30}"), "a letter, then letters and digits, all lower case, at most 31")
    LABEL = (re.compile(r"[a-z][a-z0-9-]{0,29}[a-z0-9]|[a-z]"), "lower-case letters, digits and dashes, at most 31")
    DATABASE = (re.compile(r"[a-z_][a-z0-9_]{0,62}"), "lower-case letters, digits and _, at most 63")
    DOMAIN = (
        re.compile(r"(?=.{1,244}\Z)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"),
        "a domain name in lower case without a dot at its end, as www.example.org",
    )
    SETTING = (re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_$]*)?"), "the name of a PostgreSQL setting")
    BUCKET = (
        re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
        "3 to 63 lower-case letters, digits and dashes, as demo-snapshots",
    )
    REGION = (re.compile(r"[a-z0-9][a-z0-9-]{0,40}"), "lower-case letters, digits and dashes, as us-east-1")
    VARIABLE = (re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "the name of an environment variable")

    def fits(self, text: str) -> bool:
        """True when ``text`` is such a name."""
        return self.value[0].fullmatch(text) is not None


def closest(word: str, known: tuple[str, ...]) -> str:
    """The known word that ``word`` most likely was meant to be, or ``""``."""
    matches = difflib.get_close_matches(word.lower()[:60], known, n=1, cutoff=0.6)
    return matches[0] if matches else ""


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """``did you mean X?``, or ``""`` when nothing is close."""
    meant = closest(word, known)
    return f"did you mean {meant}?" if meant else ""


def found(node: Node) -> str:
    """What stands in the file, in words."""
    match node:
        case Scalar(kind=Kind.NOTHING):
            return "nothing"
        case Scalar(kind=Kind.TEXT, text=text):
            return f"the text {clipped(text)}"
        case Scalar(text=text):
            return plain(text)
        case Mapping():
            return "keys and values"
        case Sequence():
            return "a list"
        case Refused():
            return "something refused"
