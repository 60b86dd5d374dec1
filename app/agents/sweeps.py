"""Sweeps: what has to happen because time passed, asked for by whoever owns the order's partition.

A sweep finds what is due in the store and publishes an event that asks for it; it decides nothing
and changes nothing. The service decides when it hears the event, in the order of the log. So a
sweep is lost with no worker, moves with the partitions, and asking twice is the same event.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

from structlog.contextvars import bind_contextvars

from app.agents.backlog import Backlog
from app.agents.folding import outgoing
from app.agents.partitions import partition_of
from app.domain.order import OrderStatus
from app.domain.payment import PaymentStatus
from app.events import CancellationRequested, Event, OrderEventData, PaymentRefundRetried, timestamp
from app.resources import Resources
from app.stores.errors import TransientStoreError
from app.stores.mongo import Document, translated
from app.stores.repositories import ORDERS, PAYMENTS
from app.streaming import OutRecord, PublishError
from app.topics import ORDER, PAYMENT, TopicSpec

logger = logging.getLogger(__name__)

TIMEOUT = "TIMEOUT"
# A sweep takes the oldest so many; what is left is taken by the next.
SWEEP_MAX = 1000

Publish = Callable[[Sequence[OutRecord]], Awaitable[None]]
Due = Callable[[], AsyncIterator[OrderEventData]]


class Sweep:
    """Publishes what is due in the partitions that this worker owns.

    Args:
        source: the service in whose name it is published.
        due: the events that are due, of all partitions.
        owned: the partitions that this worker's service has now.
        publish: sends records; returns when they are acknowledged.
    """

    def __init__(
        self,
        resources: Resources,
        source: str,
        due: Due,
        *,
        owned: Callable[[], Collection[int]],
        publish: Publish,
    ) -> None:
        self._partitions = resources.settings.topic_partitions
        self._clock = resources.clock
        self._source = source
        self._due = due
        self._owned = owned
        self._publish = publish

    async def once(self) -> int:
        """Publish all that is due; how many.

        Raises:
            TransientStoreError: the store can't be read now.
            PublishError: not all was acknowledged.
        """
        owned = self._owned()
        if not owned:
            return 0
        at = timestamp(self._clock())
        events = [
            Event.first(data, source=self._source, at=at)
            async for data in self._due()
            if partition_of(data.order_id, self._partitions) in owned
        ]
        await self._publish(outgoing(events))
        return len(events)


def overdue_orders(resources: Resources) -> Due:
    """Requests to cancel the orders that have not ended in time."""
    limit = timedelta(seconds=resources.settings.saga_timeout_seconds)

    async def due() -> AsyncIterator[OrderEventData]:
        query: Document = {
            "status": OrderStatus.PENDING.value,
            "cancelledBy": None,
            # Not null: an order of which only steps were heard has not been placed yet.
            "acceptedAt": {"$gt": "", "$lt": timestamp(resources.clock() - limit)},
        }
        with translated():
            found = resources.database[ORDERS].find(query, {"_id": 1})
            async for document in found.sort("acceptedAt", 1).limit(SWEEP_MAX):
                yield CancellationRequested(order_id=document["_id"], reason=TIMEOUT)

    return due


def refunds_to_retry(resources: Resources) -> Due:
    """Retries of the refunds that were refused, each after twice the wait of the one before."""
    conf = resources.settings

    def wait(attempts: int) -> timedelta:
        seconds = conf.refund_retry_seconds * 2 ** min(attempts - 1, 20)
        return timedelta(seconds=min(seconds, conf.refund_retry_max_seconds))

    async def due() -> AsyncIterator[OrderEventData]:
        now = resources.clock()
        query: Document = {
            "status": PaymentStatus.REFUND_FAILED.value,
            "refundAt": {"$lt": timestamp(now - wait(1))},
        }
        with translated():
            found = resources.database[PAYMENTS].find(query, {"refundAttempts": 1, "refundAt": 1})
            async for document in found.sort("refundAt", 1).limit(SWEEP_MAX):
                attempts = document["refundAttempts"]
                if document["refundAt"] < timestamp(now - wait(attempts)):
                    yield PaymentRefundRetried(order_id=document["_id"], attempt=attempts + 1)

    return due


SWEEPS: dict[str, tuple[TopicSpec, Callable[[Resources], Due]]] = {
    "order": (ORDER, overdue_orders),
    "payment": (PAYMENT, refunds_to_retry),
}
"""What each service sweeps; the topic by whose partitions it knows which orders are its own."""


def add_sweep(app: Any, service: str, resources: Resources, publish: Publish) -> None:
    """Let the Faust app of a service sweep, where it has something to sweep."""
    if service not in SWEEPS:
        return
    topic, due = SWEEPS[service]

    def owned() -> set[int]:
        return {tp.partition for tp in app.consumer.assignment() if tp.topic == topic.name}

    sweep = Sweep(resources, service, due(resources), owned=owned, publish=publish)
    # Told of by the order service alone.
    tell = resources.listeners.backlog if service == ORDER.owner else None
    backlog = tell and Backlog(resources, owned=owned, tell=tell)

    async def turn() -> int:
        if backlog is not None:
            await backlog.look(ours=app.ready)
        return await sweep.once() if app.ready else 0

    @app.task
    async def sweeping() -> None:
        bind_contextvars(service=service)
        while not app.should_stop:
            await app.sleep(resources.settings.sweep_interval_seconds)
            try:
                if found := await turn():
                    logger.info("%s: asked for %d things that are due", service, found)
            except (TransientStoreError, PublishError) as error:
                logger.warning("%s: the sweep waits: %s", service, error)
