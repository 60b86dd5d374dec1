"""The payment's decisions, one at a time."""

import pytest

from app.domain.payment import Action, Payment, PaymentStatus, Request, Result, decide, request
from app.events import (
    Event,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRefundFailed,
)
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Saga
from tests.builders import PRICE, after, order, order_id, placed
from tests.unit.saga.stories import both_tables

EARLY, LATE = "2011-12-09T12:00:00.000000Z", "2011-12-09T13:00:00.000000Z"
ORDER = order_id(1)
OK = Result(ok=True, payment_id="pay-1")
REFUSED = Result(ok=False, detail="not today")


def event(kind: str, attempt: int | None = None) -> Event:
    return after(placed(), kind, EARLY, of=order(), attempt=attempt)


def payment(status: PaymentStatus) -> Payment:
    asked = status in (PaymentStatus.REFUNDED, PaymentStatus.REFUND_FAILED)
    charged = asked or status is PaymentStatus.CHARGED
    void = status is PaymentStatus.VOID
    return Payment(
        ORDER,
        0 if void else PRICE,
        status,
        EARLY,
        "pay-1" if charged else None,
        refund_attempts=int(asked),
        refund_at=EARLY if asked or void else None,
        refund_detail="not today" if status is PaymentStatus.REFUND_FAILED else None,
    )


def test_the_orders_total_is_charged_when_the_step_before_is_done() -> None:
    asked = request(None, event("InventoryReserved"), INVENTORY_FIRST)

    assert Request(Action.CHARGE, ORDER, PRICE) == asked


@pytest.mark.parametrize("kind", ["OrderPlaced", "PaymentFailed", "InventoryReleased"])
def test_nothing_else_is_asked_of_the_provider(kind: str) -> None:
    assert request(None, event(kind), INVENTORY_FIRST) is None


@both_tables
@pytest.mark.parametrize("status", PaymentStatus)
def test_a_decided_payment_is_told_again_and_not_asked_for_again(
    status: PaymentStatus, table: Saga
) -> None:
    kept, trigger = payment(status), event(table.trigger("payment"))

    assert request(kept, trigger, table) is None
    decision = decide(kept, trigger, None, table, LATE)

    assert kept is decision.state
    if status is PaymentStatus.VOID:
        assert () == decision.events
        return
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


UNDONE_BY = [
    pytest.param(INVENTORY_FIRST, "OrderCancelling", id="inventory first, cancelled"),
    pytest.param(PAYMENT_FIRST, "OrderCancelling", id="payment first, cancelled"),
    pytest.param(PAYMENT_FIRST, "InventoryRejected", id="payment first, a later step failed"),
]
whatever_undoes_it = pytest.mark.parametrize(("table", "kind"), UNDONE_BY)


@whatever_undoes_it
def test_a_charge_is_refunded_when_a_later_step_failed_or_the_order_is_cancelled(
    table: Saga, kind: str
) -> None:
    kept = payment(PaymentStatus.CHARGED)

    assert Request(Action.REFUND, ORDER, PRICE) == request(kept, event(kind), table)
    decision = decide(kept, event(kind), OK, table, LATE)

    assert decision.state is not None
    assert (PaymentStatus.REFUNDED, LATE) == (decision.state.status, decision.state.refund_at)
    (told,) = decision.events
    assert isinstance(told.data, PaymentRefunded)
    assert (PRICE, LATE) == (told.data.amount, told.time)


@whatever_undoes_it
def test_a_refund_is_told_again_with_its_first_time_and_not_asked_for_again(
    table: Saga, kind: str
) -> None:
    kept = payment(PaymentStatus.REFUNDED)

    assert request(kept, event(kind), table) is None
    decision = decide(kept, event(kind), None, table, LATE)

    assert kept is decision.state
    assert [("PaymentRefunded", EARLY)] == [(told.type, told.time) for told in decision.events]


@whatever_undoes_it
def test_a_payment_that_failed_has_nothing_to_give_back(table: Saga, kind: str) -> None:
    kept = payment(PaymentStatus.FAILED)

    assert request(kept, event(kind), table) is None
    assert () == decide(kept, event(kind), None, table, LATE).events


def test_a_failure_before_any_charge_needs_no_refund() -> None:
    assert request(None, event("InventoryRejected"), PAYMENT_FIRST) is None
    decision = decide(None, event("InventoryRejected"), None, PAYMENT_FIRST, LATE)

    assert decision.state is None
    assert () == decision.events


@both_tables
def test_of_an_order_cancelled_before_its_charge_any_charge_is_withdrawn_for_good(
    table: Saga,
) -> None:
    """One may have been made by a process that died before it could remember it."""
    asked = request(None, event("OrderCancelling"), table)
    assert asked is not None
    assert (Action.WITHDRAW, ORDER) == (asked.action, asked.order_id)

    decision = decide(None, event("OrderCancelling"), Result(ok=True), table, LATE)

    assert decision.state is not None
    assert PaymentStatus.VOID is decision.state.status
    (told,) = decision.events
    assert isinstance(told.data, PaymentRefunded)
    assert (0, LATE) == (told.data.amount, told.time)


@both_tables
def test_the_promise_never_to_charge_is_told_again_with_its_first_time(table: Saga) -> None:
    kept = payment(PaymentStatus.VOID)

    assert request(kept, event("OrderCancelling"), table) is None
    decision = decide(kept, event("OrderCancelling"), None, table, LATE)

    assert kept is decision.state
    assert [("PaymentRefunded", EARLY)] == [(told.type, told.time) for told in decision.events]


@whatever_undoes_it
def test_a_refund_that_is_refused_is_said_to_have_failed_with_its_attempt(
    table: Saga, kind: str
) -> None:
    decision = decide(payment(PaymentStatus.CHARGED), event(kind), REFUSED, table, LATE)

    assert decision.state is not None
    assert (PaymentStatus.REFUND_FAILED, 1) == (
        decision.state.status,
        decision.state.refund_attempts,
    )
    (told,) = decision.events
    assert isinstance(told.data, PaymentRefundFailed)
    assert (1, PRICE, "not today", LATE) == (
        told.data.attempt,
        told.data.amount,
        told.data.detail,
        told.time,
    )


@both_tables
def test_the_next_attempt_at_a_refund_asks_again_and_only_that_one(table: Saga) -> None:
    kept = payment(PaymentStatus.REFUND_FAILED)

    asked = {n: request(kept, event("PaymentRefundRetried", n), table) for n in (2, 3)}

    assert {2: Request(Action.REFUND, ORDER, PRICE, attempt=2), 3: None} == asked
    assert request(kept, event("OrderCancelling"), table) is None


@both_tables
@pytest.mark.parametrize(
    ("result", "kind"), [(OK, "PaymentRefunded"), (REFUSED, "PaymentRefundFailed")]
)
def test_an_attempt_says_what_came_of_it_and_says_so_again(
    table: Saga, result: Result, kind: str
) -> None:
    again = event("PaymentRefundRetried", 2)

    first = decide(payment(PaymentStatus.REFUND_FAILED), again, result, table, LATE)
    assert request(first.state, again, table) is None
    second = decide(first.state, again, None, table, "even later")

    assert [(kind, LATE)] == [(told.type, told.time) for told in first.events]
    assert first == second
    assert 2 == getattr(first.events[0].data, "attempt", 2)


@both_tables
@pytest.mark.parametrize(
    "status", [PaymentStatus.CHARGED, PaymentStatus.FAILED, PaymentStatus.REFUNDED, None]
)
def test_a_retry_of_a_refund_that_was_never_refused_moves_no_money(
    table: Saga, status: PaymentStatus | None
) -> None:
    kept = None if status is None else payment(status)

    assert request(kept, event("PaymentRefundRetried", 2), table) is None
    assert kept is decide(kept, event("PaymentRefundRetried", 2), None, table, LATE).state
