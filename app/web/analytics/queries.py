"""Questions about one table, whichever it is, answered over all its partitions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.tables import keys, merging
from app.tables.keys import By
from app.tables.ledger import NEVER, Progress
from app.tables.merging import Cell, Decode
from app.tables.reading import Part, Question, Range
from app.tables.tally import Sums, Tally
from app.tables.timing import common_watermark, stream_time
from app.topics import TableSpec
from app.web.analytics.gathering import Gathered, incomplete

MS = 1000
# Cells of one answer; a page of a window's keys.
CELLS_MOST = 10_000
# Other requests get a turn after so many: of six partitions, with sketches, some 15 ms.
CELLS_A_TURN = 50
# Starts of windows, in seconds: beyond any time of an event, on either side.
FIRST, LAST = -(1 << 60), 1 << 60

Gather = Callable[[str, str, Question], Awaitable[Gathered]]
"""The parts of a table with its changelog."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the partitions are in an answer."""

    covered: int
    total: int

    def document(self) -> dict[str, Any]:
        """Its members of an answer."""
        found: dict[str, Any] = {"partitions": {"covered": self.covered, "total": self.total}}
        return found if self.covered == self.total else found | {"partial": True}


@dataclass(frozen=True, slots=True)
class Cells:
    """Windows and keys in ascending order, each with its sum.

    Attributes:
        reached: the event time (ms) up to which windows are final, grace included; `NEVER` if
            partitions are missing.
        next: start and key of the first cell beyond; the key is empty unless a window is cut.
        previous: there may be windows that start before this.
        since: no windows are shown that start before this (seconds): some of their partitions may
            have deleted theirs.
    """

    cells: Sequence[tuple[int, str, Any]]
    coverage: Coverage
    reached: int
    next: tuple[int, str] | None = None
    previous: int | None = None
    since: int = FIRST


@dataclass(frozen=True, slots=True)
class Totals:
    """Everything a table has counted; None where that is nothing."""

    tally: Any | None
    progress: Sequence[Progress]
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class TableQueries:
    """Asks for what a table holds.

    Attributes:
        spec: the table.
        decode: its tallies, by their keys (`WindowFold.decode_tally`).
        gather: asks all owners.
        now: the wall clock, in ms.
        grace_seconds: after its end, a window is open for so long.
        idle_seconds: a partition that heard nothing for so long, and is not behind, holds no window
            open.
        retention: seconds of event time that windows of each size are kept.
    """

    spec: TableSpec
    decode: Decode
    gather: Gather
    now: Callable[[], int]
    grace_seconds: int
    idle_seconds: float
    retention: Mapping[int, int]

    async def totals(self, *, allow_partial: bool = False) -> Totals:
        """The sum of everything.

        Raises:
            ProblemError: 503, partitions are missing.
        """
        gathered = await self._gathered(None, allow_partial=allow_partial)
        cells, _ = merging.merge(gathered.parts.values(), newest=False)
        tally = cells[0].tally(self.decode) if cells else None
        return Totals(tally, list(gathered.progress), coverage(gathered))

    async def windows(self, asked: Range, *, allow_partial: bool = False) -> Cells:
        """`asked.limit` cells at most, and how to go on.

        Raises:
            ProblemError: 503, partitions are missing.
        """
        question = replace(asked, limit=asked.limit + 1)
        gathered = await self._gathered(question, allow_partial=allow_partial)
        since = self._kept_since(gathered, asked.size)
        if not asked.newest and asked.first < since < asked.last:
            # Windows that are not shown must not fill the page.
            question = replace(question, first=since, from_key="")
            gathered = await self._gathered(question, allow_partial=allow_partial)
            since = max(since, self._kept_since(gathered, asked.size))
        parts: Iterable[Part] = gathered.parts.values()
        if asked.newest:
            parts = [_since(part, keys.window(asked.size, asked.by, since)) for part in parts]
        page = merging.page(parts, question)
        if asked.newest and not page.cells and page.next is not None:
            # The newest window alone has more keys: the first of them, in their order.
            start, _ = page.next
            only = replace(asked, first=start, newest=False)
            cells = await self.windows(only, allow_partial=allow_partial)
            return replace(cells, previous=start)
        whole = [cell for cell in page.cells if cell.at[0] >= since]
        return Cells(
            [(*cell.at, tally) for cell, tally in await self._added_up(whole)],
            coverage(gathered),
            self._reached(gathered),
            page.next,
            page.previous,
            since,
        )

    async def window(self, size: int, by: By, start: int, *, allow_partial: bool = False) -> Cells:
        """All keys of the window that starts there.

        Raises:
            ProblemError: 503, partitions are missing.
        """
        found: list[tuple[int, str, Any]] = []
        pages: list[Cells] = []
        position: tuple[int, str] | None = (start, "")
        while position is not None:
            asked = Range(size, by, start, start + 1, CELLS_MOST, from_key=position[1])
            pages.append(await self.windows(asked, allow_partial=allow_partial))
            found += pages[-1].cells
            position = pages[-1].next
        least = min(pages, key=lambda page: page.coverage.covered)
        if least.coverage != pages[0].coverage or least.coverage != pages[-1].coverage:
            # Some keys would have their sums over other partitions than the rest.
            raise incomplete(least.coverage.covered, least.coverage.total)
        since = max(page.since for page in pages)
        if start < since:
            found = []  # while it was read, a partition may have begun to delete its part
        reached = min(page.reached for page in pages)
        return Cells(found, least.coverage, reached, since=since)

    async def newest_start(
        self, size: int, by: By, *, allow_partial: bool = False
    ) -> tuple[int | None, Coverage]:
        """Where the newest window lies that has begun, else the newest; None where there is none.

        Raises:
            ProblemError: 503, partitions are missing.
        """
        asked = Range(size, by, FIRST, LAST, limit=1, newest=True)
        gathered = await self._gathered(asked, allow_partial=allow_partial)
        newest = _newest(gathered)
        now = self.now()
        begun = max(now, stream_time(gathered.progress, now)) // MS
        if newest is not None and newest > begun:
            # One order of a clock that is years ahead would be the newest window for years.
            asked = replace(asked, last=begun + 1)
            gathered = await self._gathered(asked, allow_partial=allow_partial)
            past = _newest(gathered)
            newest = newest if past is None else past
        return newest, coverage(gathered)

    def of_sums(self) -> "TableQueries":
        """The same, with no more of each tally than the sums it begins with."""
        return replace(self, decode=_sums)

    def is_final(self, end: int, reached: int) -> bool:
        """Whether a window that ends there (seconds) takes no more orders, but of partitions that
        were idle; orders that it has may still end."""
        return (end + self.grace_seconds) * MS <= reached

    def _kept_since(self, gathered: Gathered, size: int) -> int:
        """Windows of this size that start before this (seconds) are shown by no answer.

        Each partition deletes by its own watermark. Before what the one that is furthest keeps, the
        sums would be of the other partitions alone, and look whole.
        """
        furthest = max((each.watermark for each in gathered.progress), default=NEVER)
        return FIRST if furthest == NEVER else furthest // MS - self.retention[size] - size

    def _reached(self, gathered: Gathered) -> int:
        if not gathered.complete:
            return NEVER
        return common_watermark(gathered.parts.values(), self.now(), self.idle_seconds * MS)

    async def _gathered(self, question: Question, *, allow_partial: bool) -> Gathered:
        gathered = await self.gather(self.spec.name, self.spec.changelog, question)
        return gathered.or_unavailable(allow_partial=allow_partial)

    async def _added_up(self, cells: Sequence[Cell]) -> list[tuple[Cell, Tally]]:
        found = []
        for turn in turns(cells, CELLS_A_TURN):
            found += [(cell, cell.tally(self.decode)) for cell in turn]
            await asyncio.sleep(0)
        return found


def _newest(gathered: Gathered) -> int | None:
    starts = [
        keys.parse_window(part.cells[0][0])[0] for part in gathered.parts.values() if part.cells
    ]
    return max(starts, default=None)


def _since(part: Part, first: bytes) -> Part:
    """A part whose newest cells come first, without those before the key."""
    if not part.cells or part.cells[-1][0] >= first:
        return part
    return replace(part, cells=[cell for cell in part.cells if cell[0] >= first], cut=False)


def _sums(key: bytes, stored: bytes) -> Sums:
    return Sums.decode(stored)


def coverage(gathered: Gathered) -> Coverage:
    """How many partitions are in it."""
    return Coverage(len(gathered.parts), gathered.total)


def turns(items: Sequence[Cell], size: int) -> Iterable[Sequence[Cell]]:
    """The items, so many at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))
