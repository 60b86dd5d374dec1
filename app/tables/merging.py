"""The parts of all partitions put together: each cell is the sum of its parts.

Exact under a limit. Each partition gives the first cells of its own, in the common order. One that
has more ends at some cell, and beyond that nothing is known of it; so the cells up to the nearest
such end are complete, and no others are shown. With a limit of n, a partition that was cut gave n
cells up to its end, so at least n are complete: the first n of all are among them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.tables import keys
from app.tables.reading import Part, Range
from app.tables.tally import Tally

Decode = Callable[[bytes, bytes], Tally]
"""The tally that is stored at a key."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A window's parts for one key, one of each partition that has any, in their order."""

    key: bytes
    values: Sequence[bytes]

    @property
    def at(self) -> tuple[int, str]:
        """The window's start (seconds), and the key."""
        return keys.parse_window(self.key)

    def tally(self, decode: Decode) -> Tally:
        """The sum."""
        first, *more = self.values
        total = decode(self.key, first)
        for each in more:
            total.add(decode(self.key, each))
        return total


@dataclass(frozen=True, slots=True)
class Page:
    """Cells in ascending order, and how to go on.

    Attributes:
        next: start and key of the first cell beyond; the key is empty unless the window itself is
            cut in two.
        previous: windows that start before this are not among the cells.
    """

    cells: Sequence[Cell]
    next: tuple[int, str] | None = None
    previous: int | None = None


def merge(parts: Iterable[Part], *, newest: bool) -> tuple[list[Cell], bool]:
    """The cells all parts of which are there, in the order asked for; whether there are more."""
    found: defaultdict[bytes, list[bytes]] = defaultdict(list)
    ends = []
    for part in sorted(parts, key=lambda part: part.partition):
        for key, value in part.cells:
            found[key].append(value)
        if part.cut:
            ends.append(part.cells[-1][0])
    if ends and newest:
        complete = [key for key in found if key >= max(ends)]
    elif ends:
        complete = [key for key in found if key <= min(ends)]
    else:
        complete = list(found)
    return [Cell(key, found[key]) for key in sorted(complete, reverse=newest)], bool(ends)


def page(parts: Iterable[Part], asked: Range) -> Page:
    """The first `asked.limit` - 1 cells, or less; one more is asked for to go on there.

    A window is cut in two only where it alone has too many keys. Where the newest are asked for and
    the very newest is such a one, nothing is shown: ask for it from its start.
    """
    cells, more = merge(parts, newest=asked.newest)
    most = asked.limit - 1
    if not more and len(cells) <= most:
        return Page(cells[::-1] if asked.newest else cells)
    shown = cells[: min(most, len(cells) - 1)]
    beyond = cells[len(shown)].at
    whole = [cell for cell in shown if cell.at[0] != beyond[0]]
    if asked.newest:
        if not whole:
            return Page((), next=(beyond[0], ""))
        return Page(whole[::-1], previous=whole[-1].at[0])
    if whole:
        return Page(whole, next=(beyond[0], ""))
    return Page(shown, next=beyond)
