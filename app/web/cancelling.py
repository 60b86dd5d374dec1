"""Cancelling an order: the request goes into the log, and the order service alone decides on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from app.domain.order import SOURCE, Order, OrderStatus
from app.events import CancellationRequested, Event, timestamp
from app.identity import Principal
from app.saga import Saga
from app.web.claims import RETRY_PUBLISH_SECONDS
from app.web.problems import ProblemError, unavailable
from app.web.reading import Reader

logger = logging.getLogger(__name__)

REASON = "CANCELLED_BY_USER"


@dataclass(frozen=True, slots=True)
class Canceller:
    """Asks for orders to be cancelled.

    Attributes:
        publish: returns when the event is in the log.
        publish_seconds: the time limit of one publish.
    """

    reader: Reader
    saga: Saga
    publish: Callable[[Event], Awaitable[None]]
    clock: Callable[[], datetime]
    publish_seconds: float

    async def cancel(self, order_id: str, caller: Principal, traceparent: str) -> None:
        """Ask for it; the order that is going to be cancelled anyway is not asked for again.

        Raises:
            ProblemError: 404 no such order that the caller may see, 409 it has ended, 503 the
                request is not in the log.
        """
        order = await self.reader.find(order_id, caller)
        if order.status is not OrderStatus.PENDING:
            raise has_ended(order)
        if self.saga.undoing(order.seen):
            return
        event = Event.first(
            CancellationRequested.model_construct(order_id=order_id, reason=REASON),
            source=SOURCE,
            at=timestamp(self.clock()),
            traceparent=traceparent,
        )
        try:
            async with asyncio.timeout(self.publish_seconds):
                await self.publish(event)
        except Exception as error:  # whatever it is, the client may only hear that it failed
            logger.warning("order %s: cancellation was not published: %r", order_id, error)
            raise unavailable(
                "The cancellation could not be taken now; ask again.",
                retry_after=RETRY_PUBLISH_SECONDS,
            ) from error


def has_ended(order: Order) -> ProblemError:
    """409: what ended can't be cancelled."""
    how = order.status.value + (f" ({order.reason})" if order.reason else "")
    return ProblemError(
        HTTPStatus.CONFLICT,
        f"Order {order.order_id} has ended: {how}.",
        kind="order-ended",
        title="Order has ended",
        orderId=order.order_id,
        orderStatus=order.status.value,
        reason=order.reason,
    )
