"""The books as the log tells them: of each order, its events must tell one story.

* no event id has two contents, and what can happen once has happened under one id;
* an order has exactly one end, and the end has its cause: all steps done, or one that failed, or
  somebody who cancelled;
* each event names a cause that is in the log;
* what a cancelled order's steps did was undone: it holds no stock and no money;
* each event is about the amount that was ordered, and what was given back is what was charged;
* the end is the one that the store has, and the sums are those of the stores and the analytics.

The log is read while it grows, and its beginning may have been deleted. So an order counts as whole
only between two times; of the others, what is there must agree, and what is missing is not missed.
Pure: `app.cli.saga_log` reads the records.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.books import Books, Discrepancy
from app.domain.order import OrderStatus
from app.events import PaymentProcessed, PaymentRefunded
from app.money import text, to_minor
from app.saga import Saga
from app.saga_story import Logged, Story, against_store, contradictions, held, lacks, status

# Of a log in ruins, so many are named; the others are counted.
DISCREPANCIES_KEPT = 1000

CHARGED = PaymentProcessed.__name__
REFUNDED = PaymentRefunded.__name__

EndOf = Callable[[str], tuple[str, int | None] | None]
"""Status and total of an order in the store; None where it has no such order."""


@dataclass(slots=True)
class LogBooks:
    """The totals of the log, and everything in it that does not agree. Amounts in minor units.

    Attributes:
        foreign: records that are no events of their topic.
        under_way: orders that have not ended.
        cut: orders that lack what retention has deleted.
        unlisted: discrepancies beyond those that are kept.
    """

    records: int = 0
    foreign: int = 0
    orders: int = 0
    confirmed: int = 0
    cancelled: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    cut: int = 0
    revenue: int = 0
    units: int = 0
    charged: int = 0
    refunded: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)
    unlisted: int = 0

    @property
    def balanced(self) -> bool:
        """Whether everything agrees."""
        return not self.discrepancies

    def differs(self, kind: str, key: str, problem: str) -> None:
        """Note that something does not agree."""
        if len(self.discrepancies) < DISCREPANCIES_KEPT:
            self.discrepancies.append(Discrepancy(kind, key, problem))
        else:
            self.unlisted += 1


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which the log is whole, in ms since the epoch.

    Attributes:
        since: an order of which something older was heard, may have lost some; None: nothing was
            deleted.
        until: an order of which something later was heard may be under way; None: none is.
    """

    since: int | None = None
    until: int | None = None


class LogAudit:
    """The fold of the orders of a partition, or of a part of them.

    Args:
        saga: whose steps and compensations are looked for.
        books: where all is added up.
    """

    def __init__(self, saga: Saga, books: LogBooks) -> None:
        self._saga = saga
        self._books = books
        self._stories: dict[str, Story] = {}

    def note(self, event: Logged | None) -> None:
        """Take a record, in any order; None for one that is no event of its topic."""
        self._books.records += 1
        if event is None:
            self._books.foreign += 1
            return
        story = self._stories.get(event.order_id)
        if story is None:
            story = self._stories[event.order_id] = Story(event.at, event.at)
        story.note(event, self._saga)

    def close(self, window: Window, end_of: EndOf | None = None) -> None:
        """Judge each order, add it to the books, and forget it."""
        while self._stories:
            key, story = self._stories.popitem()
            self._count(story)
            for problem in self._judge(key, story, window, end_of):
                self._books.differs("order", key, problem)

    def _count(self, story: Story) -> None:
        books = self._books
        books.orders += 1
        books.charged += story.amounts.get(CHARGED, 0)
        books.refunded += story.amounts.get(REFUNDED, 0)
        match status(story.seen, self._saga):
            case OrderStatus.CONFIRMED:
                books.confirmed += 1
                books.revenue += story.amounts.get(self._saga.completes, 0)
                books.units += story.units
            case OrderStatus.CANCELLED:
                books.cancelled[str(story.reason)] += 1
            case _:
                books.under_way += 1

    def _judge(self, key: str, story: Story, window: Window, end_of: EndOf | None) -> Iterator[str]:
        yield from contradictions(story, self._saga)
        if window.until is not None and story.last >= window.until:
            return
        missing = [*held(story, self._saga), *lacks(story, self._saga)]
        # What was placed before the deleted may have lost any of it.
        cut = window.since is not None and (
            self._saga.starts not in story.seen or story.first < window.since
        )
        if cut:
            self._books.cut += bool(missing)
        else:
            yield from missing
        if end_of is not None:
            # What a crash came between is stored, and said as soon as somebody has the partition.
            whole = not cut and window.until is None
            yield from against_store(story, self._saga, end_of(key), whole=whole)


def compare(log: LogBooks, stores: Books) -> Iterator[Discrepancy]:
    """What the sums of a log that is whole, and at rest, and those of the stores don't agree on."""
    cancelled = log.cancelled.total(), stores.cancelled.total()
    yield from _same("orders", log.orders, stores.orders, str, "the stores")
    yield from _same("confirmed", log.confirmed, stores.confirmed, str, "the stores")
    yield from _same("cancelled", *cancelled, str, "the stores")
    yield from _same("units sold", log.units, stores.ordered, str, "the stores")
    yield from _same("revenue", log.revenue, stores.revenue, text, "the stores")
    yield from _same("charged", log.charged, stores.charged, text, "the stores")
    yield from _same("refunded", log.refunded, stores.refunded, text, "the stores")


def compare_analytics(log: LogBooks, summary: Mapping[str, Any]) -> Iterator[Discrepancy]:
    """What the sums of such a log and an answer of `GET /analytics` don't agree on."""
    cancelled = log.cancelled.total(), int(summary["cancelled"])
    yield from _same("orders", log.orders, int(summary["orders"]), str, "/analytics")
    yield from _same("confirmed", log.confirmed, int(summary["confirmed"]), str, "/analytics")
    yield from _same("cancelled", *cancelled, str, "/analytics")
    yield from _same("revenue", log.revenue, to_minor(summary["revenue"]), text, "/analytics")


def _same(
    name: str, ours: int, theirs: int, shown: Callable[[int], str], whose: str
) -> Iterator[Discrepancy]:
    if ours != theirs:
        problem = f"{shown(ours)} by the topics, {shown(theirs)} by {whose}"
        yield Discrepancy("sum", name, problem)
