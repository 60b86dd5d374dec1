"""What one process answers from a partition that it holds: raw cells, in the order of their keys.

A cell is a window's tally for one key: `(start, key)` within a window size and a dimension. Cells
go to whoever merges as they are stored; see `app.tables.merging`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.tables import keys
from app.tables.keys import By
from app.tables.ledger import Progress

# Of one partition in one answer: some thousand summaries, or 50,000 sums. What is beyond is asked
# for again.
PART_BYTES = 4 << 20
# So that whoever merges always learns where to go on, without losing the cell before.
CELLS_LEAST = 2


class Source(Protocol):
    """What is read of a `ChunkTable`."""

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values by key."""
        ...

    def scan(
        self, partition: int, start: bytes, end: bytes, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a range."""
        ...


@dataclass(frozen=True, slots=True)
class Range:
    """The first `limit` cells of a size and a dimension, of windows that start in [first, last).

    Attributes:
        size: of the windows, in seconds.
        first: in seconds since the epoch, as is `last`.
        from_key: of the window that starts at `first`, only the keys from this on.
        newest: the last `limit` cells instead, the newest first.
    """

    size: int
    by: By
    first: int
    last: int
    limit: int
    from_key: str = ""
    newest: bool = False

    @property
    def bounds(self) -> tuple[bytes, bytes]:
        """The first key, and the first one beyond."""
        return (
            keys.window(self.size, self.by, self.first, self.from_key),
            keys.window(self.size, self.by, self.last),
        )


Question = Range | None
"""A range of windows; None: the totals."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a partition answers.

    Attributes:
        cells: keys and values as stored, in the order that was asked for.
        cut: there are more in the range.
        behind: its source holds more than is counted, or nobody can tell.
    """

    partition: int
    progress: Progress
    cells: list[tuple[bytes, bytes]] = field(default_factory=list)
    cut: bool = False
    behind: bool = True


def answer(
    source: Source, partition: int, question: Question, *, most_bytes: int = PART_BYTES
) -> Part:
    """What the partition knows of the question, all as of one moment.

    Raises:
        NotHeldError: the partition is not this process's.
    """
    progress, totals = source.read(partition, [keys.PROGRESS, keys.TOTALS])
    part = Part(partition, Progress() if progress is None else Progress.decode(progress))
    if question is None:
        if totals is not None:
            part.cells.append((keys.TOTALS, totals))
        return part
    start, end = question.bounds
    room = most_bytes
    for key, value in source.scan(partition, start, end, backwards=question.newest):
        full = room < 0 and len(part.cells) >= CELLS_LEAST
        if full or len(part.cells) == question.limit:
            return Part(partition, part.progress, part.cells, cut=True)
        part.cells.append((key, value))
        room -= len(key) + len(value)
    return part
