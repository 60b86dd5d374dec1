"""What a load's record says: rates, times, and errors by kind."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import TypeVar

from benchmarks.edge.load import FINE, PARTIAL, Record
from benchmarks.edge.traffic import What
from benchmarks.lessons.instances import quantile

SHARES = (0.5, 0.9, 0.99)
ACCEPTING = frozenset({What.ACCEPT})
READING = frozenset(What) - ACCEPTING
# What each kind of read costs differs by far.
READS = {
    "an order": frozenset({What.ORDER}),
    "inventory and analytics": frozenset({What.INVENTORY, What.ANALYTICS}),
    "dashboard": frozenset({What.DASHBOARD}),
}
FINE_ENOUGH = frozenset({FINE, PARTIAL})
T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """A load's figures; times in seconds."""

    record: Record
    rate: float

    @property
    def count(self) -> int:
        """Requests that were due."""
        return len(self.record.what)

    @cached_property
    def seconds(self) -> float:
        """From the first request's turn to the last answer's end."""
        ends = map(sum, zip(self.record.due, self.record.took, strict=True))
        return max(ends, default=0.0)

    @property
    def achieved(self) -> float:
        """Requests answered well, by the second."""
        return (self.count - self.errors.total()) / self.seconds if self.seconds else 0.0

    @cached_property
    def errors(self) -> Counter[str]:
        """How many of each kind."""
        return self.errors_of(frozenset(What))

    def errors_of(self, kinds: Collection[What]) -> Counter[str]:
        """The errors of such requests."""
        named = self.record.outcomes
        return Counter(
            {
                named[index]: count
                for index, count in Counter(self._of(self.record.outcome, kinds)).items()
                if named[index] not in FINE_ENOUGH
            }
        )

    @property
    def error_share(self) -> float:
        """The part of all requests that was not answered well."""
        return self.errors.total() / self.count if self.count else 0.0

    @property
    def partial(self) -> int:
        """Dashboards with a part missing."""
        outcomes = self.record.outcomes
        if PARTIAL not in outcomes:
            return 0
        return self.record.outcome.count(outcomes.index(PARTIAL))

    def count_of(self, kinds: Collection[What]) -> int:
        """How many requests were such."""
        return sum(what in kinds for what in self.record.what)

    def times(self, kinds: Collection[What]) -> list[float]:
        """Their p50, p90, p99 and the longest, well answered or not; nothing of none."""
        took = list(self._of(self.record.took, kinds))
        return [*(quantile(took, share) for share in SHARES), max(took)] if took else []

    @property
    def p99_accept(self) -> float:
        """Of accepting an order."""
        return self.times(ACCEPTING)[2]

    @property
    def error_moments(self) -> list[float]:
        """When requests were due that were not answered well, by the machine's monotonic clock."""
        named = self.record.outcomes
        return [
            self.record.began + due
            for due, index in zip(self.record.due, self.record.outcome, strict=True)
            if named[index] not in FINE_ENOUGH
        ]

    def since(self, moment: float) -> "Figures":
        """The figures of what was due from then on."""
        record = self.record
        chosen = [record.began + due >= moment for due in record.due]
        part = Record(
            record.began,
            list(compress(record.what, chosen)),
            list(compress(record.due, chosen)),
            list(compress(record.took, chosen)),
            list(compress(record.outcome, chosen)),
            record.outcomes,
            record.accepted,
            record.cpu_seconds,
            record.connections,
            record.samples,
        )
        return Figures(part, self.rate)

    def _of(self, values: Iterable[T], kinds: Collection[What]) -> Iterable[T]:
        return compress(values, [What(what) in kinds for what in self.record.what])


def milliseconds(times: Iterable[float]) -> str:
    """As cells of a table."""
    return " | ".join(f"{1000 * each:,.0f}" for each in times)


def counted(errors: Counter[str]) -> str:
    """Errors in words."""
    return "; ".join(f"{count:,} x {kind}" for kind, count in errors.most_common()) or "none"
