"""The fold of one partition's records into its windows, exactly once.

Three guards, each for another kind of repetition:

- delivered again (after a crash, a rebalance): the ledger knows up to which offset all is counted;
- delivered again after a write that was cut short: each tally knows up to where it is counted;
- sent again, so at a new offset: the ledger knows what it counted within its horizon.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from app.tables import keys
from app.tables.keys import By
from app.tables.ledger import NEVER, Ledger, Progress, Seen
from app.tables.tally import Tally

MS = 1000
# Windows that go beyond their retention are deleted so many a write, so that a long silence does
# not end in one huge write. More than a chunk's orders make: they have some 4,000 lines.
DELETES_MAX = 5000

Read = Callable[[Sequence[bytes]], Sequence[bytes | None]]
Scan = Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What windows are kept.

    Attributes:
        retention: seconds of event time that windows of each size (seconds) are kept; each size is
            a multiple of the smallest.
        by: the dimensions.
        grace_seconds: an event may be so much older than the watermark.
        ahead_seconds: an event time this much after its record's own time does not move the
            watermark any further: one wrong clock must not make everybody late.
        horizon: records of a partition within which a repetition is known as one.
    """

    retention: Mapping[int, int]
    by: tuple[By, ...]
    grace_seconds: int
    ahead_seconds: int
    horizon: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Window sizes in seconds, the smallest first."""
        return tuple(sorted(self.retention))

    def __post_init__(self) -> None:
        smallest = min(self.retention)
        for size, kept in self.retention.items():
            if size % smallest:
                raise ValueError(f"a window of {size} s is no multiple of {smallest} s")
            if kept < self.grace_seconds + size:
                raise ValueError(
                    f"windows of {size} s must be kept for the grace and their size at least: "
                    f"{self.grace_seconds + size} s, not {kept} s"
                )


Late = tuple[int, ...]
"""The sizes of windows that a record is too late for."""


@dataclass(slots=True)
class Decided:
    """What of a chunk counts, and what the ledger remembers of it.

    `counted` are tuples that begin with the record's offset, its event time (ms) and its `Late`.
    """

    progress: Progress
    counted: Sequence[Any]
    seen: list[Seen]


@dataclass(slots=True)
class Changes:
    """What is to be written; `last` after all else."""

    puts: dict[bytes, bytes]
    deletes: list[bytes]
    last: tuple[bytes, bytes]
    progress: Progress
    seen: Sequence[Seen]
    swept: Mapping[int, int]
    late: int = 0


C = TypeVar("C", bound=tuple[Any, ...])


class WindowFold(ABC, Generic[C]):
    """Folds a partition's entries into tallies. Pure: reads through what it is given, and returns
    what is to be written."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @abstractmethod
    def decide(self, ledger: Ledger, entries: Sequence[Any]) -> Decided:
        """Which of the entries count, of those the ledger has not counted yet."""

    @abstractmethod
    def tallies(self, counted: Sequence[C]) -> Mapping[bytes, Tally]:
        """What these add, by the tally's key."""

    @abstractmethod
    def decode_tally(self, key: bytes, stored: bytes) -> Tally:
        """The tally stored at `key`."""

    def fold(
        self, ledger: Ledger, entries: Sequence[Any], read: Read, scan: Scan
    ) -> Changes | None:
        """What the entries of a chunk change; None for nothing. The ledger is left alone."""
        decided = self.decide(ledger, entries)
        if not decided.counted:
            return None
        version = decided.progress.offset
        puts = self._add(decided.counted, version, read)
        for number, page in ledger.pages(version, decided.seen).items():
            puts[keys.seen(number)] = page
        gone, swept = self._past_retention(ledger.swept, decided.progress.watermark, scan)
        return Changes(
            puts=puts,
            # Not what this chunk adds to: were the write cut short after its deletion, it would be
            # added to nothing when it is done again.
            deletes=[keys.seen(number) for number in ledger.forgotten]
            + [key for key in gone if key not in puts],
            last=(keys.PROGRESS, decided.progress.encode()),
            progress=decided.progress,
            seen=decided.seen,
            swept=swept,
            late=sum([bool(each[2]) for each in decided.counted]),
        )

    def _add(self, counted: Sequence[C], version: int, read: Read) -> dict[bytes, bytes]:
        """The new values of all tallies that `counted` adds to."""
        deltas = self.tallies(counted)
        first = counted[0][0]
        again: dict[int, Mapping[bytes, Tally]] = {}
        puts: dict[bytes, bytes] = {}
        for (key, delta), stored in zip(deltas.items(), read(list(deltas)), strict=True):
            tally = delta
            if stored is not None:
                tally = self.decode_tally(key, stored)
                done = tally.version
                if done > first:  # a write was cut short: some of these are in it
                    if done not in again:
                        rest = [each for each in counted if each[0] >= done]
                        again[done] = self.tallies(rest) if rest else {}
                    if key in again[done]:
                        tally.add(again[done][key])
                else:
                    tally.add(delta)
            tally.version = max(tally.version, version)
            puts[key] = tally.encode()
        return puts

    def late_for(self, at: int, watermark: int) -> Late:
        """The sizes of windows that an event of time `at` is too late for (ms)."""
        plan = self.plan
        # The quick way: almost none is older than the grace.
        if at + plan.grace_seconds * MS >= watermark:
            return ()
        return _ended(at, watermark, dict.fromkeys(plan.sizes, plan.grace_seconds))

    def gone_for(self, at: int, watermark: int) -> Late:
        """The sizes of windows of time `at` that are beyond their retention (ms)."""
        return _ended(at, watermark, self.plan.retention)

    def _past_retention(
        self, swept: Mapping[int, int], now: int, scan: Scan
    ) -> tuple[Collection[bytes], Mapping[int, int]]:
        """Keys of windows beyond their retention, and which sizes are rid of them at `now`."""
        gone: list[bytes] = []
        done: dict[int, int] = {}
        for size, kept in self.plan.retention.items():
            # As long as a window's size is the slack, so this is looked for once a window; and with
            # each write while there is more than one write may delete.
            if swept.get(size, NEVER) // (size * MS) >= now // (size * MS):
                continue
            end = now // MS - kept - size
            for by in self.plan.by:
                found = scan(keys.window(size, by, -(1 << 61)), keys.window(size, by, end))
                gone += (key for key, _ in islice(found, DELETES_MAX - len(gone)))
            if len(gone) == DELETES_MAX:
                break
            done[size] = now
        return gone, done


def _ended(at: int, watermark: int, longer: Mapping[int, int]) -> Late:
    """The sizes of windows of time `at` (ms) that ended so many seconds before the watermark (ms);
    `longer` has these by size."""
    seconds = at // MS
    return tuple(
        size
        for size, more in longer.items()
        if (seconds - seconds % size + size + more) * MS <= watermark
    )
