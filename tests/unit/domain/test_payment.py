"""The payment's decisions, one at a time."""

import pytest

from app.domain.payment import Action, Payment, PaymentStatus, Request, Result, decide, request
from app.events import Event, PaymentFailed, PaymentProcessed, PaymentRefunded
from app.saga import INVENTORY_FIRST
from tests.builders import PAYMENT_FIRST, PRICE, after, order, order_id, placed

EARLY, LATE = "2011-12-09T12:00:00.000000Z", "2011-12-09T13:00:00.000000Z"
ORDER = order_id(1)
OK = Result(ok=True, payment_id="pay-1")


def event(kind: str) -> Event:
    return after(placed(), kind, EARLY, of=order())


def payment(status: PaymentStatus) -> Payment:
    refunded = EARLY if status is PaymentStatus.REFUNDED else None
    failed = status is PaymentStatus.FAILED
    return Payment(
        ORDER, PRICE, status, EARLY, None if failed else "pay-1", None, refunded_at=refunded
    )


def test_the_orders_total_is_charged_when_the_step_before_is_done() -> None:
    asked = request(None, event("InventoryReserved"), INVENTORY_FIRST)

    assert Request(Action.CHARGE, ORDER, PRICE) == asked


@pytest.mark.parametrize("kind", ["OrderPlaced", "PaymentFailed", "InventoryReleased"])
def test_nothing_else_is_asked_of_the_provider(kind: str) -> None:
    assert request(None, event(kind), INVENTORY_FIRST) is None


@pytest.mark.parametrize("status", PaymentStatus)
def test_a_decided_payment_is_told_again_and_not_asked_for_again(status: PaymentStatus) -> None:
    kept = payment(status)

    assert request(kept, event("InventoryReserved"), INVENTORY_FIRST) is None
    decision = decide(kept, event("InventoryReserved"), None, INVENTORY_FIRST, LATE)

    assert kept is decision.state
    (told,) = decision.events
    expected = PaymentFailed if status is PaymentStatus.FAILED else PaymentProcessed
    assert expected is type(told.data)
    assert EARLY == told.time


def test_a_declined_charge_says_why() -> None:
    declined = Result(ok=False, detail="the card was declined")

    decision = decide(None, event("InventoryReserved"), declined, INVENTORY_FIRST, LATE)

    (told,) = decision.events
    assert isinstance(told.data, PaymentFailed)
    assert ("PAYMENT_FAILED", "the card was declined", PRICE) == (
        told.data.reason,
        told.data.detail,
        told.data.amount,
    )


def test_a_charge_is_refunded_when_a_later_step_failed() -> None:
    kept = payment(PaymentStatus.CHARGED)

    assert Request(Action.REFUND, ORDER, PRICE) == request(
        kept, event("InventoryRejected"), PAYMENT_FIRST
    )
    decision = decide(kept, event("InventoryRejected"), OK, PAYMENT_FIRST, LATE)

    assert decision.state is not None
    assert (PaymentStatus.REFUNDED, LATE) == (decision.state.status, decision.state.refunded_at)
    (told,) = decision.events
    assert isinstance(told.data, PaymentRefunded)
    assert (PRICE, LATE) == (told.data.amount, told.time)


def test_a_refund_is_told_again_with_its_first_time_and_not_asked_for_again() -> None:
    kept = payment(PaymentStatus.REFUNDED)

    assert request(kept, event("InventoryRejected"), PAYMENT_FIRST) is None
    decision = decide(kept, event("InventoryRejected"), None, PAYMENT_FIRST, LATE)

    assert kept is decision.state
    assert [EARLY] == [told.time for told in decision.events]


def test_a_payment_that_failed_has_nothing_to_give_back() -> None:
    kept = payment(PaymentStatus.FAILED)

    assert request(kept, event("InventoryRejected"), PAYMENT_FIRST) is None
    assert () == decide(kept, event("InventoryRejected"), None, PAYMENT_FIRST, LATE).events


def test_a_failure_before_any_charge_needs_no_refund() -> None:
    assert request(None, event("InventoryRejected"), PAYMENT_FIRST) is None
    decision = decide(None, event("InventoryRejected"), None, PAYMENT_FIRST, LATE)

    assert decision.state is None
    assert () == decision.events
