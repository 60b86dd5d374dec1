"""The order service's decisions: watch the saga, and say when it has ended."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.decision import Decision
from app.events import (
    CancellationRequested,
    Event,
    OrderCancelled,
    OrderCancelling,
    OrderConfirmed,
    OrderPlaced,
    StepFailed,
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
        cancelled_by: the id of the request that the order is being cancelled for, likewise.
    """

    order_id: str
    placed: OrderPlaced | None = None
    status: OrderStatus = OrderStatus.PENDING
    reason: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    ended_by: str | None = None
    cancelled_by: str | None = None

    @property
    def seen(self) -> frozenset[str]:
        """The types of the events heard."""
        return frozenset(entry.event for entry in self.history)

    @property
    def accepted_at(self) -> str | None:
        """When the order was placed; None while only events of its steps were heard."""
        placed = (entry.at for entry in self.history if entry.event == OrderPlaced.__name__)
        return next(placed, None)

    @property
    def updated_at(self) -> str:
        """The time of the last event."""
        return self.history[-1].at


def decide(order: Order | None, event: Event, saga: Saga, now: str) -> Decision[Order | None]:
    """Note the event; when it ends the saga, emit the end.

    The same event decided again gives the same answer: an event already heard changes nothing,
    and the one that ended the saga emits the end again, with its first time.
    """
    if isinstance(event.data, CancellationRequested):
        return _cancel(order, event, event.data.reason, saga, now)
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


def _cancel(
    order: Order | None, event: Event, reason: str, saga: Saga, now: str
) -> Decision[Order | None]:
    """Decide on a request to cancel: granted while the saga runs forward, and never afterwards.

    This is the one place where a cancellation and the saga's end meet, so they can't both win.
    """
    if order is None or order.placed is None:
        # A request follows the order in its partition: there is no such order.
        return Decision(order)
    if order.cancelled_by is None:
        if order.status is not OrderStatus.PENDING or saga.undoing(order.seen):
            return Decision(order)
        order = replace(
            order,
            reason=reason,
            cancelled_by=event.id,
            history=(*order.history, HistoryEntry(saga.cancels, now)),
        )
    if order.cancelled_by != event.id:
        return Decision(order)
    at = next(entry.at for entry in order.history if entry.event == saga.cancels)
    data = OrderCancelling.model_construct(order_id=order.order_id, reason=reason)
    return Decision(order, (event.follow(data, source=SOURCE, at=at),))


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
    return event.data.reason if isinstance(event.data, StepFailed) else None
