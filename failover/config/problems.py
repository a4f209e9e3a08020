"""Collects every problem of one file, each with its place. Paths name a value from the top: ``("sites", "alpha")``.

What must never be here: a rule about what a fleet may look like; those are in the decoders and the checks.
"""

from __future__ import annotations

from failover.model.finding import Finding, Place, Severity

Path = tuple[str, ...]


def shown(path: Path) -> str:
    """A path as people write it: ``sites.alpha.address``, ``app.migrate[0]``; the top is ``the file``."""
    text = ""
    for part in path:
        word = plain(part)
        text += word if not text or part.startswith("[") else f".{word}"
    return text or "the file"


def clipped(text: str) -> str:
    """A text of the file as a message shows it: quoted, on one line, not endless."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def plain(text: str) -> str:
    """The same without its quotes, for keys and numbers."""
    return clipped(text)[1:-1]


def printable(text: str) -> str:
    """``text`` with whatever a terminal would not show as it is written out: names in it come from the file."""
    return text if text.isprintable() else "".join(x if x.isprintable() else repr(x)[1:-1] for x in text)


class Problems:
    """The findings of one file, and where each of its keys and values stands.

    A path with an error counts as *spoilt*: it and everything below it stays out of later comparisons, so that one
    mistake is reported once and not again as its own consequences.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._findings: list[Finding] = []
        self._keys: dict[Path, Place] = {}
        self._values: dict[Path, Place] = {}
        self._spoilt: set[Path] = set()

    def here(self, line: int, column: int) -> Place:
        """The place in this file, 1-based."""
        return Place(file=self.file, line=line, column=column)

    def stands(self, path: Path, *, key: Place | None, value: Place | None) -> None:
        """Remember where ``path`` is written. The first one written counts when a key is there twice."""
        if key is not None:
            self._keys.setdefault(path, key)
        if value is not None:
            self._values.setdefault(path, value)

    def written(self, *path: str) -> bool:
        """True when the file itself has ``path``."""
        return path in self._keys

    def key_place(self, path: Path) -> Place:
        """Where the key of ``path`` stands, or of the nearest thing around it that is written."""
        while path:
            if path in self._keys:
                return self._keys[path]
            if path[-1].startswith("[") and path in self._values:  # an item of a list has no key
                return self._values[path]
            path = path[:-1]
        return self._values.get((), self.here(1, 1))

    def value_place(self, path: Path) -> Place:
        """Where the value of ``path`` stands, or the key of the nearest thing around it that is written."""
        return self._values.get(path) or self.key_place(path)

    def add(
        self, severity: Severity, code: str, place: Place | None, message: str, hint: str = "", site: str = ""
    ) -> None:
        """A finding at a place that has no path (syntax, a file that cannot be read)."""
        found = Finding(
            code=code, severity=severity, message=printable(message), hint=printable(hint), place=place, site=site
        )
        self._findings.append(found)

    def error(
        self,
        code: str,
        path: Path,
        message: str,
        hint: str = "",
        *,
        at_key: bool = False,
        spoils: tuple[Path, ...] | None = None,
    ) -> None:
        """Something is wrong with ``path`` (``at_key``: with its key). Spoils it, or instead each of ``spoils``."""
        self._spoilt.update((path,) if spoils is None else spoils)
        self._about(Severity.ERROR, code, path, message, hint, at_key)

    def warning(self, code: str, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Allowed, but the operator should know."""
        self._about(Severity.WARNING, code, path, message, hint, at_key)

    def spoil(self, path: Path) -> None:
        """Keep ``path`` out of later comparisons."""
        self._spoilt.add(path)

    def sound(self, *path: str) -> bool:
        """True when neither ``path`` nor anything around it has an error."""
        return not any(path[:length] in self._spoilt for length in range(len(path) + 1))

    @property
    def fatal(self) -> bool:
        """At least one error."""
        return any(finding.severity is Severity.ERROR for finding in self._findings)

    def findings(self) -> tuple[Finding, ...]:
        """Everything found, in the order of the file; what has no place comes first."""
        return tuple(sorted(self._findings, key=_order))

    def _about(self, severity: Severity, code: str, path: Path, message: str, hint: str, at_key: bool) -> None:
        place = self.key_place(path) if at_key else self.value_place(path)
        site = path[1] if len(path) > 1 and path[0] == "sites" else ""
        self.add(severity, code, place, f"{shown(path)}: {message}", hint, site)


def _order(finding: Finding) -> tuple[int, int]:
    place = finding.place
    return (0, 0) if place is None else (place.line, place.column)
