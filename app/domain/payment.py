"""The payment service's decisions: charge after the step before, refund when a later one fails."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.decision import Decision
from app.events import (
    Event,
    OrderData,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    order_data,
)
from app.saga import Saga

STEP = "payment"
REASON = "PAYMENT_FAILED"


class PaymentStatus(StrEnum):
    """What became of an order's payment."""

    CHARGED = "CHARGED"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment; `amount` in minor units, `at` when it was decided."""

    order_id: str
    amount: int
    status: PaymentStatus
    at: str
    payment_id: str | None = None
    detail: str | None = None
    refunded_at: str | None = None


class Action(StrEnum):
    """What may be asked of the provider."""

    CHARGE = "charge"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the provider. The order's id is its idempotency key: asked again, it answers
    what it answered before, and moves no money twice."""

    action: Action
    order_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Result:
    """The provider's answer."""

    ok: bool
    payment_id: str | None = None
    detail: str | None = None


def request(payment: Payment | None, event: Event, saga: Saga) -> Request | None:
    """The call that must be made before `event` can be decided, if any."""
    match payment:
        case None if event.type == saga.trigger(STEP) and isinstance(event.data, OrderData):
            return Request(Action.CHARGE, event.order_id, event.data.total)
        case Payment(status=PaymentStatus.CHARGED) if event.type in saga.undo_triggers(STEP):
            return Request(Action.REFUND, payment.order_id, payment.amount)
        case _:
            return None


def decide(
    payment: Payment | None, event: Event, result: Result | None, saga: Saga, now: str
) -> Decision[Payment | None]:
    """The payment after `event`, given the provider's answer where `request` asked for one."""
    if event.type == saga.trigger(STEP) and isinstance(event.data, OrderData):
        if payment is None:
            assert result is not None
            payment = Payment(
                order_id=event.order_id,
                amount=event.data.total,
                status=PaymentStatus.CHARGED if result.ok else PaymentStatus.FAILED,
                at=now,
                payment_id=result.payment_id,
                detail=result.detail,
            )
        return Decision(payment, (_outcome(payment, event, event.data),))

    if payment is not None and event.type in saga.undo_triggers(STEP):
        if payment.status is PaymentStatus.CHARGED:
            payment = replace(payment, status=PaymentStatus.REFUNDED, refunded_at=now)
        if payment.status is PaymentStatus.REFUNDED:
            assert payment.refunded_at is not None
            refunded = PaymentRefunded.model_construct(
                order_id=event.data.order_id, amount=payment.amount
            )
            return Decision(payment, (event.follow(refunded, source=STEP, at=payment.refunded_at),))
    return Decision(payment)


def _outcome(payment: Payment, event: Event, order: OrderData) -> Event:
    """What was said of the charge, the same after a refund: it is history."""
    if payment.status is PaymentStatus.FAILED:
        failed = PaymentFailed.model_construct(
            order_id=order.order_id, amount=payment.amount, reason=REASON, detail=payment.detail
        )
        return event.follow(failed, source=STEP, at=payment.at)
    assert payment.payment_id is not None
    processed = PaymentProcessed.model_construct(**order_data(order), payment_id=payment.payment_id)
    return event.follow(processed, source=STEP, at=payment.at)
