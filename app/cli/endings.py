"""Waiting until accepted orders have ended, and what became of them.

Read from the orders' collection, since asking over HTTP for each of thousands would be a load of
its own.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.order import OrderStatus
from app.events import OrderCancelled, OrderConfirmed, OrderPlaced
from app.stores.errors import TransientStoreError
from app.stores.mongo import Collection, documents

ORDERS_A_QUERY = 500
POLL_SECONDS = 0.5
# A slow machine gets ten real orders a second through; a start and a rebalance come on top.
WAIT_SECONDS = 120.0
WAIT_SECONDS_AN_ORDER = 0.1
# Longer than a broker's restart and the rebalance after it: then nothing will move any more.
STALLED_SECONDS = 120.0
# A worker's clock may be this far behind ours before an order of ours is taken for an older one.
CLOCK_TOLERANCE_SECONDS = 1.0

# More than the events of any order.
EVENTS_AN_ORDER_MOST = 100

PLACED = OrderPlaced.__name__
ENDS = (OrderConfirmed.__name__, OrderCancelled.__name__)
FIELDS = {"status": 1, "reason": 1, "total": 1, "history": 1}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an order ended; times in seconds since the epoch, `total` in minor units."""

    order_id: str
    status: OrderStatus
    reason: str | None
    total: int
    accepted_at: float
    ended_at: float


@dataclass(slots=True)
class Endings:
    """What became of the orders so far. `moved`: grows whenever anything is heard of any."""

    ended: list[Ending] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    moved: int = 0

    def of(self, status: OrderStatus) -> int:
        """How many ended so."""
        return sum(ending.status is status for ending in self.ended)

    def reasons(self) -> Counter[str]:
        """The cancelled, by reason."""
        return Counter(str(e.reason) for e in self.ended if e.status is OrderStatus.CANCELLED)

    def revenue(self) -> int:
        """What the confirmed are worth, in minor units."""
        return sum(e.total for e in self.ended if e.status is OrderStatus.CONFIRMED)


def limit_seconds(orders: int) -> float:
    """How long so many orders may take to end, after the last was accepted."""
    return WAIT_SECONDS + orders * WAIT_SECONDS_AN_ORDER


async def wait_for_ends(
    orders: Collection,
    ids: Iterable[str],
    *,
    limit: float,
    stalled: float = STALLED_SECONDS,
    poll: float = POLL_SECONDS,
    on_poll: Callable[[Endings], None] = lambda endings: None,
) -> Endings:
    """Look until every order has ended, `limit` seconds have passed, or `stalled` without a move.

    Raises:
        TransientStoreError: MongoDB could not be reached any more.
    """
    endings = Endings(pending=list(dict.fromkeys(ids)))
    give_up = time.monotonic() + limit
    seen, seen_at = -1, time.monotonic()
    while True:
        began, fault = time.monotonic(), None
        try:
            await _look(orders, endings)
        except TransientStoreError as error:
            # A database that restarts under the orders is no reason to stop watching them.
            fault = error
        on_poll(endings)
        now = time.monotonic()
        if endings.moved != seen:
            seen, seen_at = endings.moved, now
        if not endings.pending or now > give_up or now - seen_at > stalled:
            if fault:
                raise fault
            return endings
        # At most half of the time is spent looking.
        await asyncio.sleep(max(poll, now - began))


async def _look(orders: Collection, endings: Endings) -> None:
    """Note what has ended since the last look; nothing is noted of a look that fails midway."""
    ended, pending, events = [], [], 0
    for start in range(0, len(endings.pending), ORDERS_A_QUERY):
        ids = endings.pending[start : start + ORDERS_A_QUERY]
        found = {d["_id"]: d async for d in documents(orders, {"_id": {"$in": ids}}, FIELDS)}
        for order_id in ids:
            document = found.get(order_id)
            ending = _ending(document) if document else None
            if ending is not None:
                ended.append(ending)
            else:
                pending.append(order_id)
                events += len(document["history"]) if document else 0
    endings.ended += ended
    endings.pending = pending
    # An order that ends takes its events out of the sum, but counts for more than it had.
    endings.moved = len(endings.ended) * EVENTS_AN_ORDER_MOST + events


def _ending(document: dict[str, Any]) -> Ending | None:
    status = OrderStatus(document["status"])
    if status is OrderStatus.PENDING:
        return None
    times = {entry["event"]: _epoch(entry["at"]) for entry in document["history"]}
    # Topics have no order among each other, so an order's placing may be heard late: by name.
    return Ending(
        order_id=document["_id"],
        status=status,
        reason=document["reason"],
        total=document["total"],
        accepted_at=times.get(PLACED, min(times.values())),
        ended_at=next((times[end] for end in ENDS if end in times), max(times.values())),
    )


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def earlier(ended: Sequence[Ending], began: float) -> set[str]:
    """The orders that were accepted before this run began, by their own history."""
    return {e.order_id for e in ended if e.accepted_at < began - CLOCK_TOLERANCE_SECONDS}


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile: the smallest value that `share` of all don't exceed."""
    ranked = sorted(values)
    if not ranked:
        return None
    rank = max(1, -(-len(ranked) * share // 1))
    return ranked[int(rank) - 1]
