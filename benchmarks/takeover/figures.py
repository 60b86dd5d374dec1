"""What is made of the answers that were seen during a take-over."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.windows.job import begin
from benchmarks.windows.reference import MINOR_UNITS

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Sums:
    """What all windows add up to; `revenue` in minor units."""

    orders: int = 0
    confirmed: int = 0
    revenue: int = 0

    def within(self, least: "Sums", most: "Sums") -> bool:
        """Whether each sum is between those two, or one of them."""
        return (
            least.orders <= self.orders <= most.orders
            and least.confirmed <= self.confirmed <= most.confirmed
            and least.revenue <= self.revenue <= most.revenue
        )


@dataclass(frozen=True, slots=True)
class Look:
    """One answer, `at` seconds after the other worker was told to end.

    Attributes:
        covered: partitions that are in it, of `total`; 0 where none was answered for.
    """

    at: float
    covered: int = 0
    total: int = 0
    sums: Sums = Sums()

    @property
    def whole(self) -> bool:
        """Whether every partition is in it."""
        return 0 < self.total == self.covered

    @classmethod
    def of(cls, at: float, document: Mapping[str, Any]) -> "Look":
        """What `GET /analytics?allow=partial` says, a problem as well."""
        if "revenue" not in document:
            return cls(at)
        covered = document["partitions"]
        sums = Sums(document["orders"], document["confirmed"], minor(document["revenue"]))
        return cls(at, covered["covered"], covered["total"], sums)


@dataclass(frozen=True, slots=True)
class Takeover:
    """What was seen of one take-over.

    Attributes:
        looks: in their order.
        given: seconds until the group had given the survivor all partitions; None where time ran
            out before.
        before, after: what is right without and with the orders that came meanwhile.
        read_back: changelog records that the survivor read for it.
    """

    looks: Sequence[Look]
    given: float | None
    before: Sums
    after: Sums
    read_back: int = 0

    @property
    def whole(self) -> float | None:
        """Seconds until answers were whole, and stayed so; None where the last one is not."""
        found = None
        for look in reversed(self.looks):
            if not look.whole:
                break
            found = look.at
        return found

    @property
    def counted(self) -> float | None:
        """Seconds until a whole answer had the orders that came meanwhile, each once."""
        return next(
            (look.at for look in self.looks if look.whole and look.sums == self.after), None
        )

    @property
    def short_seconds(self) -> float:
        """For how long answers lacked partitions, or there was none."""
        return self._lasted(lambda look: not look.whole)

    @property
    def silent_seconds(self) -> float:
        """For how long no partition was answered for."""
        return self._lasted(lambda look: look.covered == 0)

    @property
    def right(self) -> bool:
        """Whether no whole answer lacked an earlier order or had one twice, and one had all."""
        return self.counted is not None and all(
            look.sums.within(self.before, self.after) for look in self.looks if look.whole
        )

    def _lasted(self, bad: Callable[[Look], bool]) -> float:
        """From the answer before one that is bad to the one after it: as long as it can have been.
        Before the first, all was well."""
        times = [0.0, *(look.at for look in self.looks)]
        found = [False, *map(bad, self.looks)]
        return sum(
            until - since
            for (since, until), either in zip(pairwise(times), pairwise(found), strict=True)
            if any(either)
        )


def reference(totals: Mapping[str, int], events: int) -> Sums:
    """What all windows must add up to, where each event is a confirmed order."""
    return Sums(events, events, sum(totals.values()))


def by_day(totals: Mapping[str, int]) -> dict[str, int]:
    """Totals of an hour, by `<Unix time>|<country>`, as those of a day."""
    found: Counter[str] = Counter()
    for key, amount in totals.items():
        start = begin(key)
        found[cell(start - start % DAY_SECONDS, key.partition("|")[2])] += amount
    return dict(found)


def cell(start: int, country: str) -> str:
    """A window's key as the reference has it."""
    return f"{start}|{country}"


def minor(amount: float) -> int:
    """An amount of an answer, which has two decimals, in minor units."""
    return round(amount * MINOR_UNITS)
