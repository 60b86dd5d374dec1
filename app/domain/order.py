"""The order service's decisions: watch the saga, and say when it has ended."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.decision import Decision
from app.events import (
    Event,
    InventoryRejected,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PaymentFailed,
    order_data,
)
from app.saga import Saga, SagaState

SOURCE = "order"


class OrderStatus(StrEnum):
    """What an order's client sees."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event of the order, and when it happened."""

    event: str
    at: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order as its saga's events tell it.

    Attributes:
        placed: the order itself; None while only events of its steps were heard, because
            topics are not ordered among each other.
        history: the events in the order they were heard here.
        ended_by: the id of the event that ended the saga, so that its repetition, and no other,
            emits the end again.
    """

    order_id: str
    placed: OrderPlaced | None = None
    status: OrderStatus = OrderStatus.PENDING
    reason: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    ended_by: str | None = None

    @property
    def seen(self) -> frozenset[str]:
        """The types of the events heard."""
        return frozenset(entry.event for entry in self.history)

    @property
    def updated_at(self) -> str:
        """The time of the last event."""
        return self.history[-1].at


def decide(order: Order | None, event: Event, saga: Saga, now: str) -> Decision[Order | None]:
    """Note the event; when it ends the saga, emit the end.

    The same event decided again gives the same answer: an event already heard changes nothing,
    and the one that ended the saga emits the end again, with its first time.
    """
    if event.type not in saga.events():
        return Decision(order)
    order = order or Order(event.order_id)
    if event.type in order.seen:
        repeated = order.ended_by == event.id
        return Decision(order, (_end(order, event, saga),) if repeated else ())

    heard = replace(
        order,
        placed=event.data if isinstance(event.data, OrderPlaced) else order.placed,
        history=(*order.history, HistoryEntry(event.type, event.time)),
        reason=order.reason or _failure(event),
    )
    if order.status is not OrderStatus.PENDING:
        return Decision(heard)

    match saga.state(heard.seen):
        case SagaState.COMPLETED:
            return _ended(heard, event, OrderStatus.CONFIRMED, saga, now)
        case SagaState.ABORTED:
            return _ended(heard, event, OrderStatus.CANCELLED, saga, now)
        case _:
            return Decision(heard)


def _ended(
    order: Order, event: Event, status: OrderStatus, saga: Saga, now: str
) -> Decision[Order | None]:
    ended = replace(
        order,
        status=status,
        ended_by=event.id,
        history=(*order.history, HistoryEntry(_ending(status, saga), now)),
    )
    return Decision(ended, (_end(ended, event, saga),))


def _ending(status: OrderStatus, saga: Saga) -> str:
    return saga.completes if status is OrderStatus.CONFIRMED else saga.aborts


def _end(order: Order, event: Event, saga: Saga) -> Event:
    """The event that tells the order's end, with its first time; events of the steps may have been
    heard since. Only an order that was placed ends."""
    assert order.placed is not None
    ending = _ending(order.status, saga)
    at = next(entry.at for entry in order.history if entry.event == ending)
    placed = order_data(order.placed)
    if order.status is OrderStatus.CONFIRMED:
        return event.follow(OrderConfirmed.model_construct(**placed), source=SOURCE, at=at)
    assert order.reason is not None
    cancelled = OrderCancelled.model_construct(**placed, reason=order.reason)
    return event.follow(cancelled, source=SOURCE, at=at)


def _failure(event: Event) -> str | None:
    match event.data:
        case InventoryRejected(reason=reason) | PaymentFailed(reason=reason):
            return reason
        case _:
            return None
