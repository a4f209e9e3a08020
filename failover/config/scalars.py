"""Decoders of single values: text, names, choices, numbers, durations, addresses.

What must never be here: a rule that compares two values of the file; those are the checks.
"""

from __future__ import annotations

import ipaddress
import math
import re

from failover.config.names import Name, did_you_mean, found
from failover.config.nodes import Kind, Node, Refused, Scalar
from failover.config.problems import Path, Problems, clipped, plain
from failover.model.units import parse_duration

# "\0" in quotes is YAML; in an environment, an argument or a line of a configuration file it is an accident.
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class Leaf:
    """One value of the file, present or not. Every decoder returns a stand-in after reporting a wrong value."""

    def __init__(self, problems: Problems, path: Path, node: Node | None) -> None:
        self.problems = problems
        self.path = path
        self.node = node

    @property
    def present(self) -> bool:
        """True when the file has this key."""
        return self.node is not None

    def wrong(self, code: str, message: str, hint: str = "") -> None:
        """Report this value."""
        self.problems.error(code, self.path, message, hint)

    def text(self, default: str = "") -> str:
        """Text. A bare number or ``yes`` is refused: quoted, it says what was meant."""
        scalar = self._scalar("text")
        if scalar is None:
            return default
        if scalar.kind is not Kind.TEXT:
            self.wrong("wrong-type", f"want text, found {found(scalar)}", f'write "{scalar.text}" if this is meant')
            return default
        if not scalar.text:
            self.wrong("wrong-type", "want text, found an empty one", "write a value, or remove the line")
            return default
        return scalar.text

    def verbatim(self, default: str = "") -> str:
        """Any scalar, exactly as written: for values that another program reads (``off`` stays ``off``)."""
        scalar = self._scalar("text")
        return default if scalar is None else scalar.text

    def name(self, rule: Name, default: str = "") -> str:
        """Text that fits ``rule``."""
        text = self.text(default)
        if text and self.sound_here and not rule.fits(text):
            self.wrong("bad-name", f"{clipped(text)} cannot be a name here", f"write {rule.value[1]}")
        return text

    def key_name(self, rule: Name) -> None:
        """Report the key of this value when it does not fit ``rule``."""
        key = self.path[-1]
        if not rule.fits(key):
            self.problems.error(
                "bad-name", self.path, f"{clipped(key)} cannot be a name here", f"write {rule.value[1]}", at_key=True
            )

    def choice(self, choices: tuple[str, ...], default: str) -> str:
        """One of ``choices``."""
        scalar = self._scalar("one of " + ", ".join(choices))
        if scalar is None:
            return default
        if scalar.text not in choices:
            either = " or ".join(choices) if len(choices) == 2 else "one of " + ", ".join(choices)
            hint = did_you_mean(scalar.text, choices) or f"write {either}"
            self.wrong("bad-choice", f"{clipped(scalar.text)} is not one of {', '.join(choices)}", hint)
            return default
        return scalar.text

    def boolean(self, default: bool) -> bool:
        """``true`` or ``false``; YAML's yes, no, on and off are refused."""
        scalar = self._scalar("true or false")
        if scalar is None:
            return default
        if scalar.kind is not Kind.BOOLEAN or scalar.text not in ("true", "false"):
            self.wrong("wrong-type", f"want true or false, found {found(scalar)}", "write true or false")
            return default
        return scalar.text == "true"

    def integer(self, default: int, *, low: int, high: int) -> int:
        """A whole number in decimal, from ``low`` to ``high``. Octal, hex and ``1_000`` are refused."""
        scalar = self._scalar("a whole number")
        if scalar is None:
            return default
        if scalar.kind is not Kind.WHOLE or re.fullmatch(r"-?(0|[1-9][0-9]*)", scalar.text) is None:
            self.wrong(
                "wrong-type", f"want a whole number, found {found(scalar)}", f"write a number from {low} to {high}"
            )
            return default
        # Not int() at once: a number of thousands of digits is a ValueError of its own.
        number = int(scalar.text) if len(scalar.text) <= 18 else high + 1
        if not low <= number <= high:
            self._out_of_range(scalar, f"a number from {low} to {high}")
            return default
        return number

    def seconds(self, default: float, *, low: str, high: str) -> float:
        """A duration with its unit, from ``low`` to ``high`` (also written with units)."""
        scalar = self._scalar("a duration")
        if scalar is None:
            return default
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", scalar.text):
            hint = f"write {scalar.text}s if seconds are meant, {scalar.text}ms if milliseconds"
            self.wrong("missing-unit", f"{scalar.text} has no unit", hint)
            return default
        try:
            seconds = parse_duration(scalar.text).total_seconds()
        except OverflowError:
            seconds = math.inf
        except ValueError:
            hint = "write a number and one of ms, s, m, h, d, as 250ms"
            self.wrong("wrong-type", f"want a duration, found {found(scalar)}", hint)
            return default
        if not parse_duration(low).total_seconds() <= seconds <= parse_duration(high).total_seconds():
            self._out_of_range(scalar, f"a duration from {low} to {high}")
            return default
        return seconds

    def address(self) -> str:
        """An IPv4 address of one machine. Names are refused: resolving one may need the provider that is leaving."""
        text = self.text()
        if not text:
            return ""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            hint = "write the IPv4 address itself: looking a name up may need the provider that is leaving"
            self.wrong("bad-address", f"{clipped(text)} is not an IP address", hint)
            return ""
        if address.version != 4:
            self.wrong("not-built", "IPv6 addresses are not built yet", "write an IPv4 address")
        elif address.is_unspecified or address.is_multicast or address.is_reserved:
            self.wrong(
                "bad-address", f"{text} is not the address of one machine", "write the address others connect to"
            )
        return text

    @property
    def sound_here(self) -> bool:
        """No error about exactly this value or around it so far."""
        return self.problems.sound(*self.path)

    def _out_of_range(self, scalar: Scalar, want: str) -> None:
        self.wrong("out-of-range", f"want {want}, found {plain(scalar.text)}", f"write {want}")

    def _scalar(self, want: str) -> Scalar | None:
        """The scalar, or ``None``: absent, or reported."""
        if self.node is None:
            return None
        if isinstance(self.node, Refused):
            self.problems.spoil(self.path)
            return None
        if not isinstance(self.node, Scalar) or self.node.kind is Kind.NOTHING:
            hint = "write a value, or remove the line" if isinstance(self.node, Scalar) else "write one value"
            self.wrong("wrong-type", f"want {want}, found {found(self.node)}", hint)
            return None
        if _CONTROL.search(self.node.text):
            self.wrong("bad-value", "has a control character in it", "write one line of plain text")
            return None
        return self.node
