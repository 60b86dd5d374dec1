"""The payment service's decisions: charge after the step before, refund when a later one fails."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.decision import Decision
from app.events import (
    Event,
    EventData,
    OrderData,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentRefundRetried,
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
    REFUND_FAILED = "REFUND_FAILED"  # what was charged could not be given back yet
    VOID = "VOID"  # the order was cancelled before anything was charged: nothing ever will be


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment; `amount` in minor units, `at` when it was decided.

    Attributes:
        refund_attempts: how often the provider was asked to give it back.
        refund_at: when it was last asked, or did.
    """

    order_id: str
    amount: int
    status: PaymentStatus
    at: str
    payment_id: str | None = None
    detail: str | None = None
    refund_attempts: int = 0
    refund_at: str | None = None
    refund_detail: str | None = None


class Action(StrEnum):
    """What may be asked of the provider."""

    CHARGE = "charge"
    REFUND = "refund"
    # Make sure that nothing is charged, and never will be: a charge may have been made whose answer
    # was lost with the process that asked for it.
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the provider. The order's id is its idempotency key: asked again, it answers
    what it answered before, and moves no money twice."""

    action: Action
    order_id: str
    amount: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """The provider's answer."""

    ok: bool
    payment_id: str | None = None
    detail: str | None = None


def request(payment: Payment | None, event: Event, saga: Saga) -> Request | None:
    """The call that must be made before `event` can be decided, if any."""
    if payment is None:
        if event.type == saga.trigger(STEP) and isinstance(event.data, OrderData):
            return Request(Action.CHARGE, event.order_id, event.data.total)
        if event.type == saga.cancels:
            return Request(Action.WITHDRAW, event.order_id, 0)
        return None
    first = payment.status is PaymentStatus.CHARGED and event.type in saga.undo_triggers(STEP)
    if first or _is_next_attempt(payment, event):
        attempt = payment.refund_attempts + 1
        return Request(Action.REFUND, payment.order_id, payment.amount, attempt)
    return None


def decide(
    payment: Payment | None, event: Event, result: Result | None, saga: Saga, now: str
) -> Decision[Payment | None]:
    """The payment after `event`, given the provider's answer where `request` asked for one."""
    if event.type == saga.trigger(STEP) and isinstance(event.data, OrderData):
        return _charge(payment, event, event.data, result, now)
    if payment is None:
        if event.type != saga.cancels:
            return Decision(None)
        assert result is not None
        payment = Payment(event.order_id, 0, PaymentStatus.VOID, at=now, refund_at=now)
        if result.ok:
            result = None
    if event.type in saga.undo_triggers(STEP) or isinstance(event.data, PaymentRefundRetried):
        if result is not None:
            payment = _refund(payment, result, now)
        return Decision(payment, _refund_outcome(payment, event))
    return Decision(payment)


def _charge(
    payment: Payment | None, event: Event, order: OrderData, result: Result | None, now: str
) -> Decision[Payment | None]:
    if payment is None:
        assert result is not None
        payment = Payment(
            order_id=event.order_id,
            amount=order.total,
            status=PaymentStatus.CHARGED if result.ok else PaymentStatus.FAILED,
            at=now,
            payment_id=result.payment_id,
            detail=result.detail,
        )
    if payment.status is PaymentStatus.VOID:
        return Decision(payment)
    return Decision(payment, (_charge_outcome(payment, event, order),))


def _charge_outcome(payment: Payment, event: Event, order: OrderData) -> Event:
    """What was said of the charge, the same after a refund: it is history."""
    if payment.status is PaymentStatus.FAILED:
        failed = PaymentFailed.model_construct(
            order_id=order.order_id, amount=payment.amount, reason=REASON, detail=payment.detail
        )
        return event.follow(failed, source=STEP, at=payment.at)
    assert payment.payment_id is not None
    processed = PaymentProcessed.model_construct(**order_data(order), payment_id=payment.payment_id)
    return event.follow(processed, source=STEP, at=payment.at)


def _refund(payment: Payment, result: Result, now: str) -> Payment:
    return replace(
        payment,
        status=PaymentStatus.REFUNDED if result.ok else PaymentStatus.REFUND_FAILED,
        refund_attempts=payment.refund_attempts + 1,
        refund_at=now,
        refund_detail=result.detail,
    )


def _refund_outcome(payment: Payment, event: Event) -> tuple[Event, ...]:
    """What is said of the refund; nothing where nothing was charged by the step's own failure."""
    data: EventData
    if payment.status in (PaymentStatus.REFUNDED, PaymentStatus.VOID):
        data = PaymentRefunded.model_construct(order_id=payment.order_id, amount=payment.amount)
    elif payment.status is PaymentStatus.REFUND_FAILED:
        data = PaymentRefundFailed.model_construct(
            order_id=payment.order_id,
            amount=payment.amount,
            attempt=payment.refund_attempts,
            detail=payment.refund_detail,
        )
    else:
        return ()
    assert payment.refund_at is not None
    return (event.follow(data, source=STEP, at=payment.refund_at),)


def _is_next_attempt(payment: Payment, event: Event) -> bool:
    """Whether it is time for the attempt after those that were made, and not for an older one."""
    return (
        payment.status is PaymentStatus.REFUND_FAILED
        and isinstance(event.data, PaymentRefundRetried)
        and event.data.attempt == payment.refund_attempts + 1
    )
