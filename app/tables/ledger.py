"""How far one partition is counted: offset, watermark, and what was counted already.

Whatever a partition's fold decides depends on the ledger and the records after it alone, and the
ledger is written last and with them; so after a crash the same is decided again.
"""

import struct
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

NEVER = -(1 << 62)
# Of a page. Where records come one at a time, each writes its page again: 1.6 KB on average. And
# less than 256, so that a record's place in it is a byte.
PAGE_RECORDS = 128
NOTHING: Mapping[int, int] = {}

_PROGRESS = struct.Struct(">Q3q")
_VERSION = struct.Struct(">Q")
_ENTRY = struct.Struct(">B16sq")


@dataclass(slots=True)
class Progress:
    """How far a partition is counted; times in ms since the epoch, `NEVER` before the first.

    Attributes:
        offset: of the next record to count.
        watermark: the highest event time among those that end an order: what is older than it by
            the grace and more is late.
        newest: the highest event time of all, no further than its record's own time.
        arrived: when the last record came, by its Kafka timestamp.
    """

    offset: int = 0
    watermark: int = NEVER
    newest: int = NEVER
    arrived: int = NEVER

    def encode(self) -> bytes:
        """32 bytes; the offset is the version."""
        return _PROGRESS.pack(self.offset, self.watermark, self.newest, self.arrived)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """From `encode`."""
        return cls(*_PROGRESS.unpack(stored))


Seen = tuple[int, bytes, int]
"""A thing that a record counted: the record's offset, the thing, and when (in ms) it was opened; or
`NEVER`, where that ended it. One that was opened too late for some window has a time below zero."""


def page(version: int, seen: Iterable[Seen]) -> bytes:
    """What the records of one page counted, as it is stored: 8 bytes, and 25 for each thing."""
    entries = [_ENTRY.pack(offset % PAGE_RECORDS, ident, at) for offset, ident, at in seen]
    return _VERSION.pack(version) + b"".join(entries)


def paged(number: int, stored: bytes) -> Iterator[Seen]:
    """What `page` made bytes of."""
    first = number * PAGE_RECORDS
    for place, ident, at in _ENTRY.iter_unpack(stored[_VERSION.size :]):
        yield first + place, ident, at


def by_page(seen: Sequence[Seen]) -> Iterator[tuple[int, Sequence[Seen]]]:
    """What records counted, in order of offsets, by the pages' numbers."""
    place = 0
    while place < len(seen):
        number = seen[place][0] // PAGE_RECORDS
        end = bisect_left(seen, ((number + 1) * PAGE_RECORDS,), place)
        yield number, seen[place:end]
        place = end


class Ledger:
    """A partition's progress, and what it counted within the last `horizon` records.

    A repetition is known as one for so long; its memory is about 120 bytes a thing. What was
    counted lies in pages by the offsets of its records, so that the pages do not depend on how the
    log was cut into chunks, nor what is forgotten on what a write that was cut short has deleted
    already: decided again, a record must count as it did before. Pages are forgotten once a chunk,
    so whether a repetition within a chunk of the horizon is known may depend on the chunks.

    Attributes:
        opened: what was counted and has not ended, with the time in ms.
        ended: what has ended.
        forgotten: pages beyond the horizon that still lie in the table.
        swept: by window size, the watermark at which its windows beyond retention were deleted.
    """

    def __init__(self, progress: Progress, seen: Iterable[Seen], horizon: int) -> None:
        self.progress = progress
        self.opened: dict[bytes, int] = {}
        self.ended: set[bytes] = set()
        self.forgotten: list[int] = []
        self.swept: dict[int, int] = {}
        self._horizon = horizon
        self._pages: deque[_Page] = deque()
        # Of the newest page, which more will come into.
        self._newest: list[Seen] = []
        # Beyond the progress: of a write that was cut short; its records come again.
        self._take([each for each in seen if each[0] < progress.offset])
        self._forget()

    def pages(self, version: int, seen: Sequence[Seen]) -> Mapping[int, bytes]:
        """The pages with these in them as well, by their numbers."""
        known = self._pages[-1].number if self._pages else None
        return {
            number: page(version, [*self._newest, *things] if number == known else things)
            for number, things in by_page(seen)
        }

    def advance(
        self, progress: Progress, seen: Sequence[Seen], swept: Mapping[int, int] = NOTHING
    ) -> None:
        """What was written is counted, and what was forgotten is deleted with it."""
        self.progress = progress
        self.swept.update(swept)
        self.forgotten = []
        self._take(seen)
        self._forget()

    def _take(self, seen: Sequence[Seen]) -> None:
        for number, things in by_page(seen):
            if not self._pages or number != self._pages[-1].number:
                self._pages.append(_Page(number))
                self._newest = []
            self._newest += things
            newest = self._pages[-1]
            opened = {ident: at for _, ident, at in things if at != NEVER}
            ended = [ident for _, ident, at in things if at == NEVER]
            newest.opened += opened
            newest.ended += ended
            self.opened |= opened
            self.ended.update(ended)
            for ident in ended:
                self.opened.pop(ident, None)

    def _forget(self) -> None:
        oldest = self.progress.offset - self._horizon
        while self._pages and (self._pages[0].number + 1) * PAGE_RECORDS <= oldest:
            gone = self._pages.popleft()
            for ident in gone.opened:
                self.opened.pop(ident, None)
            self.ended.difference_update(gone.ended)
            self.forgotten.append(gone.number)


@dataclass(slots=True)
class _Page:
    number: int
    opened: list[bytes] = field(default_factory=list)
    ended: list[bytes] = field(default_factory=list)
