"""What a batch's stored states say of sagas and payments; pure.

A state is compared with the one it replaced in the store, so a record that comes again, of which
the store knows already, changes nothing and counts nothing. What a crash can still do: a process
that dies, or hears of a conflict or a fault, after some of a batch was written and before it was
told so, finds those states stored when it does the batch again, and they are never counted. So
counters are at most a batch short for each crash and each write that failed half-way, and never
too high. The exact figures are in `/analytics`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.domain.order import Order, OrderStatus
from app.domain.payment import Payment, PaymentStatus
from app.saga import Saga
from app.stores.mongo import Stored


class SagaEnd(StrEnum):
    """How a saga ended."""

    SUCCESS = "success"  # confirmed
    COMPENSATED = "compensated"  # cancelled, after something that was done was undone
    FAILED = "failed"  # cancelled with nothing to undo


class PaymentOutcome(StrEnum):
    """What became of a payment."""

    CHARGED = "charged"
    FAILED = "failed"
    REFUNDED = "refunded"


@dataclass(slots=True)
class OrderCounts:
    """What is new in the orders of a batch.

    Attributes:
        created: orders that were stored for the first time as placed.
        ends: sagas that ended, by how.
        revenue: of confirmed orders, minor units.
        compensated: steps that were undone after they had been done, by the step.
        seconds: from placed to ended, of each saga that ended.
    """

    created: int = 0
    ends: Counter[SagaEnd] = field(default_factory=Counter)
    revenue: int = 0
    compensated: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class PaymentCounts:
    """What is new in the payments of a batch.

    Attributes:
        outcomes: payments that came to an outcome, by it; one that was charged and refunded within
            a batch came to both.
        refunds_refused: answers of the provider that refused a refund.
    """

    outcomes: Counter[PaymentOutcome] = field(default_factory=Counter)
    refunds_refused: int = 0


def count_orders(changes: Iterable[tuple[str, Stored[Order], Order]], saga: Saga) -> OrderCounts:
    """What is new in orders that have just been stored."""
    counts = OrderCounts()
    for _, stored, after in changes:
        before = stored.state
        if after.placed is not None and (before is None or before.placed is None):
            counts.created += 1
        known = 0 if before is None else len(before.history)
        new = {entry.event for entry in after.history[known:]}
        for step in saga.steps:
            if step.undone in new and step.done in after.seen:
                counts.compensated[step.name] += 1
        if after.status is not OrderStatus.PENDING and (
            before is None or before.status is OrderStatus.PENDING
        ):
            _count_end(counts, after, saga)
    return counts


def _count_end(counts: OrderCounts, order: Order, saga: Saga) -> None:
    counts.ends[_end(order, saga)] += 1
    if order.status is OrderStatus.CONFIRMED and order.placed is not None:
        counts.revenue += order.placed.total
    ending = saga.completes if order.status is OrderStatus.CONFIRMED else saga.aborts
    ended = next((entry.at for entry in order.history if entry.event == ending), None)
    if ended is not None and order.accepted_at is not None:
        took = datetime.fromisoformat(ended) - datetime.fromisoformat(order.accepted_at)
        # Two processes have said when: their clocks may differ by more than it took.
        counts.seconds.append(max(took.total_seconds(), 0.0))


def _end(order: Order, saga: Saga) -> SagaEnd:
    if order.status is OrderStatus.CONFIRMED:
        return SagaEnd.SUCCESS
    undone = any(step.done in order.seen and step.undone in order.seen for step in saga.steps)
    return SagaEnd.COMPENSATED if undone else SagaEnd.FAILED


def count_payments(changes: Iterable[tuple[str, Stored[Payment], Payment]]) -> PaymentCounts:
    """What is new in payments that have just been stored."""
    counts = PaymentCounts()
    for _, stored, after in changes:
        before = stored.state
        charged = after.payment_id is not None
        if before is None and charged:
            counts.outcomes[PaymentOutcome.CHARGED] += 1
        if before is None and after.status is PaymentStatus.FAILED:
            counts.outcomes[PaymentOutcome.FAILED] += 1
        refunded = after.status is PaymentStatus.REFUNDED and (
            before is None or before.status is not PaymentStatus.REFUNDED
        )
        if refunded and charged:
            counts.outcomes[PaymentOutcome.REFUNDED] += 1
        asked = after.refund_attempts - (0 if before is None else before.refund_attempts)
        counts.refunds_refused += asked - refunded
    return counts
