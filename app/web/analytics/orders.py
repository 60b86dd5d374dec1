"""The answers of the orders' analytics: what they are made of, and how they look."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from app.money import to_major
from app.tables.keys import By
from app.tables.ledger import NEVER
from app.tables.reading import Range
from app.tables.tally import Summary, Sums
from app.tables.timing import hopping, stream_time
from app.web.analytics.asking import MINUTE, Windows
from app.web.analytics.queries import Cells, Coverage, TableQueries
from app.web.rendering import iso

RATE_SIZE = 5 * MINUTE
QUANTILES = {"p50": 0.5, "p99": 0.99}
# A relative standard error is about 68 % of a normal distribution: one standard deviation.
DEVIATIONS = 1
RATE_DIGITS = 6
EARLIEST_SECONDS = int(datetime.min.replace(tzinfo=UTC).timestamp())
LATEST_SECONDS = int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp())


class Metric(StrEnum):
    """What products are ranked by."""

    REVENUE = "revenue"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True)
class OrderAnswers:
    """Answers about orders, as JSON documents."""

    queries: TableQueries

    async def summary(self, *, allow_partial: bool = False) -> dict[str, Any]:
        """Everything, and how many orders a minute there are now.

        Raises:
            ProblemError: 503, partitions are missing; as for all that follow.
        """
        totals = await self.queries.totals(allow_partial=allow_partial)
        tally: Summary = totals.tally or Summary()
        per_minute, coverage = 0.0, totals.coverage
        now = stream_time(totals.progress, self.queries.now())
        if now != NEVER:
            per_minute, recent = await self._per_minute(now // 1000, allow_partial=allow_partial)
            coverage = min(coverage, recent, key=lambda each: each.covered)
        return {
            **sums_document(tally.sums),
            "ordersPerMinute": per_minute,
            **summary_document(tally),
            "lateEvents": dict(sorted(tally.late.items(), key=lambda each: int(each[0]))),
            "at": None if now == NEVER else iso(datetime.fromtimestamp(now / 1000, UTC)),
            **coverage.document(),
        }

    async def windows(self, asked: Windows) -> dict[str, Any]:
        """The windows asked for."""
        if asked.hop is not None:
            return await self._hopping(asked, asked.hop)
        size, by = asked.range.size, asked.range.by
        found = await self.queries.windows(asked.range, allow_partial=asked.allow_partial)
        return {
            "size": size,
            "by": by.name.lower(),
            "windows": [
                self._window(start, size, key if by is not By.NONE else None, tally, found)
                for start, key, tally in found.cells
            ],
            **going_on(found),
            **found.coverage.document(),
        }

    async def top(
        self, metric: Metric, size: int, at: datetime | None, n: int, *, allow_partial: bool
    ) -> dict[str, Any]:
        """The products of the window that `at` is in, the first `n` by the metric; ties by id."""
        document: dict[str, Any] = {"metric": metric.value, "size": size}
        if at is not None:
            seconds = int(at.timestamp())
            start: int | None = seconds - seconds % size
            known: Coverage | None = None
        else:
            start, known = await self.queries.newest_start(
                size, By.PRODUCT, allow_partial=allow_partial
            )
        if start is None:
            assert known is not None
            return document | {"window": None, "products": [], **known.document()}
        found = await self.queries.window(size, By.PRODUCT, start, allow_partial=allow_partial)
        coverage = min(found.coverage, known or found.coverage, key=lambda each: each.covered)
        return document | {
            "window": {
                **bounds(start, size),
                "final": self.queries.is_final(start + size, found.reached),
            },
            "products": [
                {
                    "productId": product,
                    "revenue": to_major(sums.revenue),
                    "quantity": sums.units,
                    "orders": sums.orders,
                    "confirmed": sums.confirmed,
                }
                for product, sums in ranked(
                    ((key, sums) for _, key, sums in found.cells), MEASURES[metric], n
                )
            ],
            **coverage.document(),
        }

    async def _per_minute(self, now: int, *, allow_partial: bool) -> tuple[float, Coverage]:
        """Orders a minute in the newest hopping window that `now` (seconds) has reached; it still
        fills."""
        last = now - now % MINUTE + MINUTE
        minutes = RATE_SIZE // MINUTE
        asked = Range(MINUTE, By.NONE, last - RATE_SIZE, last, limit=minutes)
        found = await self.queries.of_sums().windows(asked, allow_partial=allow_partial)
        orders = sum(sums.orders for _, _, sums in found.cells)
        return orders / minutes, found.coverage

    async def _hopping(self, asked: Windows, hop: int) -> dict[str, Any]:
        """Hopping windows, each the sum of the one-minute windows in it."""
        size, wanted = asked.range.size, asked.range
        slices = size // hop
        # Windows that start up to `size` earlier reach into the first minute, and the last window
        # ends that much later. Each minute with orders begins a window, so so many are enough.
        minutes = replace(
            wanted,
            size=hop,
            last=wanted.last + size - hop,
            limit=wanted.limit + slices,
        )
        queries = self.queries.of_sums()
        found = await queries.windows(minutes, allow_partial=asked.allow_partial)
        all_of = hopping({start: sums for start, _, sums in found.cells}, size, hop)
        starts = [
            start
            for start in all_of
            if max(wanted.first, found.since) <= start < wanted.last
            # Complete are those all of whose minutes are there.
            and (found.next is None or start + size <= found.next[0])
            and (found.previous is None or start >= found.previous)
        ]
        shown = starts[-wanted.limit :] if wanted.newest else starts[: wanted.limit]
        more: dict[str, Any] = {}
        cut = len(starts) > len(shown)
        if shown and wanted.newest and (cut or found.previous is not None):
            more = {"previous": iso_seconds(shown[0])}
        elif shown and not wanted.newest and (cut or found.next is not None):
            more = {"next": iso_seconds(starts[len(shown)] if cut else shown[-1] + hop)}
        return {
            "size": size,
            "hop": hop,
            "by": By.NONE.name.lower(),
            "windows": [
                {
                    **self._window(start, size, None, all_of[start], found),
                    "ordersPerMinute": all_of[start].orders / (size // MINUTE),
                }
                for start in shown
            ],
            **more,
            **found.coverage.document(),
        }

    def _window(
        self, start: int, size: int, key: str | None, tally: Sums | Summary, found: Cells
    ) -> dict[str, Any]:
        document: dict[str, Any] = bounds(start, size)
        if key is not None:
            document["key"] = key
        sums = tally.sums if isinstance(tally, Summary) else tally
        document |= sums_document(sums)
        if isinstance(tally, Summary):
            document |= summary_document(tally)
        return document | {"final": self.queries.is_final(start + size, found.reached)}


MEASURES: Mapping[Metric, Callable[[Sums], int]] = {
    Metric.REVENUE: lambda sums: sums.revenue,
    Metric.QUANTITY: lambda sums: sums.units,
}


def ranked(cells: Any, measure: Callable[[Any], int], n: int) -> Sequence[tuple[str, Any]]:
    """The first `n` keys by the measure, the largest first, ties by key; none that measure 0."""
    counted = [(key, tally) for key, tally in cells if measure(tally) > 0]
    return sorted(counted, key=lambda each: (-measure(each[1]), each[0]))[:n]


def iso_seconds(at: int) -> str:
    """Seconds since the epoch, as ISO 8601 in UTC; what dates can't tell is the last they can."""
    within = max(EARLIEST_SECONDS, min(at, LATEST_SECONDS))
    return datetime.fromtimestamp(within, UTC).isoformat().replace("+00:00", "Z")


def bounds(start: int, size: int) -> dict[str, Any]:
    """Where a window lies."""
    return {"start": iso_seconds(start), "end": iso_seconds(start + size)}


def going_on(found: Cells) -> dict[str, Any]:
    """Where an answer that is not all goes on."""
    more: dict[str, Any] = {}
    if found.next is not None:
        start, key = found.next
        more["next"] = iso_seconds(start)
        if key:
            more["nextKey"] = key
    if found.previous is not None:
        more["previous"] = iso_seconds(found.previous)
    return more


def sums_document(sums: Sums) -> dict[str, Any]:
    """Counts of orders; the share of those that ended well is null where none has ended."""
    ended = sums.confirmed + sums.cancelled
    return {
        "revenue": to_major(sums.revenue),
        "orders": sums.orders,
        "confirmed": sums.confirmed,
        "cancelled": sums.cancelled,
        "successRate": sums.confirmed / ended if ended else None,
        "units": sums.units,
    }


def summary_document(tally: Summary) -> dict[str, Any]:
    """What is only kept of all orders together."""
    seconds, customers = tally.seconds, tally.customers
    estimate = customers.get_estimate()
    spread = customers.get_upper_bound(DEVIATIONS) - customers.get_lower_bound(DEVIATIONS)
    return {
        "cancelledBy": dict(sorted(tally.reasons.items())),
        "sagaSeconds": {
            name: None if seconds.is_empty() else round(seconds.get_quantile(rank), RATE_DIGITS)
            for name, rank in QUANTILES.items()
        },
        "customers": round(estimate),
        # Relative, one standard deviation.
        "customersError": round(spread / 2 / estimate, RATE_DIGITS) if estimate else 0.0,
    }
