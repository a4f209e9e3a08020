"""Anti-entropy of media: a merge of sorted listings, page by page, that says for each object what is to be done. Pure.

It holds one page of each lane, however many objects there are. It never asks to remove anything: the only write over
something is a good copy over a bad one, decided after both were read (``mend``). What must never be here: I/O, a clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from failover.model.media import Expected, Held, digest_in

_MD5 = re.compile(r"[0-9a-f]{32}")


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """``sources`` have it, ``targets`` do not. ``sha256`` "": nothing but the size can be compared on the way."""

    key: str
    sha256: str
    size_bytes: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """The copies cannot all be right (size, or ETags that are MD5 sums): read them. ``stores`` have one; ``absent`` do
    not. ``sizes``: in bytes, as ``stores``. ``only_etags``: they agree, with the index too."""

    key: str
    sha256: str
    stores: tuple[str, ...]
    sizes: tuple[int, ...]
    absent: tuple[str, ...]
    only_etags: bool


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The app refers to it and no store lists it."""

    key: str
    sha256: str
    size_bytes: int


class Unreferenced(msgspec.Struct, frozen=True, kw_only=True):
    """A store holds it and the app does not refer to it: too new, removed, or of a database that was set back. Left
    alone: copying would bring back what was removed, and removing is the app's."""

    key: str
    stores: tuple[str, ...]


class InStep(msgspec.Struct, frozen=True, kw_only=True):
    """Every store has it, and all agree as far as a listing tells."""

    key: str
    sha256: str
    size_bytes: int


Decision = Copy | Compare | Lost | Unreferenced | InStep
Entry = tuple[str, Held | Expected]


class Merge:
    """Feed it pages, take decisions. ``stores``: the lanes; ``indexed``: one more lane, what the app refers to."""

    def __init__(self, stores: Sequence[str], *, indexed: bool) -> None:
        self._stores = tuple(stores)
        self._indexed = indexed
        self._pages: dict[str, Sequence[Entry]] = dict.fromkeys(self.lanes, ())
        self._at: dict[str, int] = dict.fromkeys(self.lanes, 0)
        self._ended: set[str] = set()
        self._last: dict[str, str] = dict.fromkeys(self.lanes, "")
        self.etags_compare = True
        """Whether ETags that look like MD5 sums are taken for such; switch it off once two good copies disagreed."""

    @property
    def lanes(self) -> tuple[str, ...]:
        """What has to be fed; "" is the index."""
        return (*self._stores, *([""] if self._indexed else []))

    def feed(self, lane: str, page: Sequence[Entry]) -> None:
        """The next page of a lane that ``wants`` named. Raises ``ValueError`` when its keys do not grow."""
        last = self._last[lane]
        for key, _ in page:
            if key <= last:
                raise ValueError(f"{lane or 'the index'}: {key} came after {last}")
            last = key
        self._last[lane] = last
        self._pages[lane], self._at[lane] = page, 0

    def end(self, lane: str) -> None:
        """Nothing more comes in it."""
        self._ended.add(lane)

    def wants(self) -> tuple[str, ...]:
        """The lanes without which no further decision can be made."""
        return tuple(lane for lane in self.lanes if lane not in self._ended and not self._left(lane))

    def take(self) -> list[Decision]:
        """Every decision that can be made now, in order of the keys."""
        found: list[Decision] = []
        while not self.wants():
            heads = {lane: self._pages[lane][self._at[lane]] for lane in self.lanes if self._left(lane)}
            if not heads:
                break
            if len(heads) == len(self.lanes) and self._in_step(found):
                continue
            key = min(head[0] for head in heads.values())
            row = {lane: head[1] for lane, head in heads.items() if head[0] == key}
            for lane in row:
                self._at[lane] += 1
            found.append(self._decide(key, row))
        return found

    def _in_step(self, found: list[Decision]) -> bool:
        """The objects next in line that are the same in every lane, word for word; whether there were any. What
        ``_decide`` says of them too, at a quarter of the cost: nearly all objects of nearly all passes."""
        before = len(found)
        for row in zip(*(self._pages[lane][self._at[lane] :] for lane in self.lanes), strict=False):
            key, first = row[0]
            etag = first.etag if isinstance(first, Held) else None
            sha256 = ""
            for other, entry in row[1:]:
                same = other == key and entry.size_bytes == first.size_bytes
                if same and isinstance(entry, Held):
                    same = entry.etag == etag
                elif same:
                    sha256 = entry.sha256
                if not same:
                    break
            else:
                found.append(InStep(key=key, sha256=sha256 or digest_in(key), size_bytes=first.size_bytes))
                continue
            break
        taken = len(found) - before
        for lane in self.lanes:
            self._at[lane] += taken
        return taken > 0

    def _left(self, lane: str) -> bool:
        return self._at[lane] < len(self._pages[lane])

    def _decide(self, key: str, row: Mapping[str, Held | Expected]) -> Decision:
        expected = row.get("")
        held = {name: found for name, found in row.items() if isinstance(found, Held)}
        if not isinstance(expected, Expected):
            if self._indexed:
                return Unreferenced(key=key, stores=tuple(held))
            expected = Expected(key=key, sha256=digest_in(key))
        if not held:
            return Lost(key=key, sha256=expected.sha256, size_bytes=expected.size_bytes)
        absent = tuple(name for name in self._stores if name not in held)
        sizes = {found.size_bytes for found in held.values()}
        wrong = len(sizes) > 1 or expected.size_bytes not in (-1, *sizes)
        if wrong or self._etags_differ(held.values()):
            return Compare(
                key=key,
                sha256=expected.sha256,
                stores=tuple(held),
                sizes=tuple(found.size_bytes for found in held.values()),
                absent=absent,
                only_etags=not wrong,
            )
        size = sizes.pop()
        if absent:
            return Copy(key=key, sha256=expected.sha256, size_bytes=size, sources=tuple(held), targets=absent)
        return InStep(key=key, sha256=expected.sha256, size_bytes=size)

    def _etags_differ(self, held: Iterable[Held]) -> bool:
        """Only those that can be the MD5 of the whole: one of a multipart upload depends on how it was cut."""
        if not self.etags_compare:
            return False
        return len({found.etag for found in held if found.etag is not None and _MD5.fullmatch(found.etag)}) > 1


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """``good`` hold the right bytes. ``targets`` are to be given them. ``bad``: hold others. ``torn``: nothing says
    which copy is right, or none is: nothing may be written."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    targets: tuple[str, ...]
    torn: bool


def mend(sha256: str, read: Mapping[str, str], absent: Sequence[str]) -> Mended:
    """After reading: ``read`` is store -> sha256 of what it holds. A store that could not be read is in neither."""
    if sha256:
        good = tuple(name for name, found in read.items() if found == sha256)
    else:
        good = tuple(read) if len(set(read.values())) == 1 else ()
    bad = tuple(name for name in read if name not in good)
    torn = not good
    return Mended(good=good, bad=bad, targets=() if torn else (*bad, *absent), torn=torn)
