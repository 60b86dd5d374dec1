"""The shelf's decisions, one at a time."""

import pytest

from app.domain.inventory import (
    Rejection,
    Reservation,
    ReservationStatus,
    Stock,
    decide,
    products,
    quantities,
)
from app.events import Event
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Saga
from tests.builders import after, order, order_id, placed
from tests.unit.saga.stories import both_tables

EARLY, LATE = "2011-12-09T12:00:00.000000Z", "2011-12-09T13:00:00.000000Z"
ORDER = order_id(1)
VOID = ReservationStatus.VOID
# What undoes a reservation, and what settles it.
ENDS = [
    pytest.param(INVENTORY_FIRST, "PaymentFailed", id="inventory first, a later step failed"),
    pytest.param(INVENTORY_FIRST, "OrderCancelling", id="inventory first, cancelled"),
    pytest.param(INVENTORY_FIRST, "OrderConfirmed", id="inventory first, confirmed"),
    pytest.param(PAYMENT_FIRST, "OrderCancelling", id="payment first, cancelled"),
    pytest.param(PAYMENT_FIRST, "OrderConfirmed", id="payment first, confirmed"),
]


def event(kind: str, wanted: dict[str, int] | None = None) -> Event:
    wanted = wanted or {"apple": 2}
    return after(placed(wanted), kind, EARLY, of=order(wanted))


def reservation(status: ReservationStatus) -> Reservation:
    if status is VOID:
        return Reservation(ORDER, status, {}, EARLY, ended_at=EARLY)
    ended = None if status is ReservationStatus.RESERVED else EARLY
    if status is ReservationStatus.REJECTED:
        return Reservation(ORDER, status, {"apple": 2}, EARLY, "OUT_OF_STOCK", ("apple",), ended)
    return Reservation(ORDER, status, {"apple": 2}, EARLY, ended_at=ended)


def test_a_hold_moves_units_from_available_to_reserved() -> None:
    stock = Stock("apple", 5).hold(ORDER, 2)

    assert (3, 2, 2) == (stock.available, stock.reserved, stock.held(ORDER))


def test_a_hold_taken_twice_is_the_same_hold() -> None:
    stock = Stock("apple", 5).hold(ORDER, 2)

    assert stock is stock.hold(ORDER, 2)


def test_a_hold_of_nothing_gives_back() -> None:
    assert Stock("apple", 5) == Stock("apple", 5).hold(ORDER, 2).hold(ORDER, 0)


def test_more_than_there_is_can_not_be_held() -> None:
    with pytest.raises(AssertionError, match="apple: oversold to -1"):
        Stock("apple", 5).hold(ORDER, 6)


def test_what_is_settled_is_sold_once() -> None:
    stock = Stock("apple", 5).hold(ORDER, 2).settle(ORDER)

    assert (3, 0, 2) == (stock.available, stock.reserved, stock.sold)
    assert stock is stock.settle(ORDER)


def test_a_product_named_twice_adds_up() -> None:
    assert {"apple": 5, "pear": 1} == quantities(order([("apple", 2), ("pear", 1), ("apple", 3)]))


def test_a_hold_left_by_a_crash_is_counted_not_taken_twice() -> None:
    stocks = {"apple": Stock("apple", 0, {ORDER: 2})}

    decision = decide(None, stocks, placed({"apple": 2}), INVENTORY_FIRST, LATE)

    assert ["InventoryReserved"] == [e.type for e in decision.events]
    assert stocks == decision.touched


def test_a_hold_left_by_a_crash_is_given_back_when_the_rest_is_gone() -> None:
    stocks = {"apple": Stock("apple", 0, {ORDER: 2}), "pear": Stock("pear", 0)}

    decision = decide(None, stocks, placed({"apple": 2, "pear": 1}), INVENTORY_FIRST, LATE)

    assert ["InventoryRejected"] == [e.type for e in decision.events]
    assert {"apple": Stock("apple", 2), "pear": Stock("pear", 0)} == decision.touched


def test_an_unknown_product_outweighs_one_that_is_short() -> None:
    stocks = {"apple": Stock("apple", 1)}

    decision = decide(None, stocks, placed({"apple": 2, "unicorn": 1}), INVENTORY_FIRST, LATE)

    assert decision.state is not None
    assert (Rejection.UNKNOWN_PRODUCT, ("unicorn",)) == (
        decision.state.reason,
        decision.state.short,
    )


@pytest.mark.parametrize("status", [s for s in ReservationStatus if s is not VOID])
@both_tables
def test_an_old_trigger_takes_no_stock_again(table: Saga, status: ReservationStatus) -> None:
    kept, trigger = reservation(status), event(table.trigger("inventory"))

    assert frozenset() == products(kept, trigger, table)
    decision = decide(kept, {}, trigger, table, LATE)

    assert kept is decision.state
    assert {} == decision.touched
    rejected = status is ReservationStatus.REJECTED
    assert ["InventoryRejected" if rejected else "InventoryReserved"] == [
        e.type for e in decision.events
    ]
    assert [EARLY] == [e.time for e in decision.events]


@pytest.mark.parametrize(
    "status", [s for s in ReservationStatus if s is not ReservationStatus.RESERVED]
)
@pytest.mark.parametrize(("table", "kind"), ENDS)
def test_an_ended_reservation_touches_no_stock(
    table: Saga, kind: str, status: ReservationStatus
) -> None:
    kept = reservation(status)

    assert frozenset() == products(kept, event(kind), table)
    decision = decide(kept, {}, event(kind), table, LATE)

    assert kept is decision.state
    assert {} == decision.touched
    told_again = kind != "OrderConfirmed" and status in (ReservationStatus.RELEASED, VOID)
    assert ([("InventoryReleased", EARLY)] if told_again else []) == [
        (e.type, e.time) for e in decision.events
    ]


@pytest.mark.parametrize(("table", "kind"), ENDS)
def test_a_reservation_ends_with_its_saga(table: Saga, kind: str) -> None:
    stocks = {"apple": Stock("apple", 3, {ORDER: 2, order_id(2): 1})}
    kept = reservation(ReservationStatus.RESERVED)

    assert frozenset({"apple"}) == products(kept, event(kind), table)
    decision = decide(kept, stocks, event(kind), table, LATE)

    settled = kind == "OrderConfirmed"
    status = ReservationStatus.SETTLED if settled else ReservationStatus.RELEASED
    assert decision.state is not None
    assert (status, LATE) == (decision.state.status, decision.state.ended_at)
    assert {order_id(2): 1} == decision.touched["apple"].holds
    assert (0 if settled else 2) == decision.touched["apple"].available - 3
    assert ([] if settled else ["InventoryReleased"]) == [e.type for e in decision.events]


@both_tables
def test_an_order_cancelled_before_it_was_heard_of_is_void_and_needs_no_stock(table: Saga) -> None:
    assert frozenset() == products(None, event("OrderCancelling"), table)

    decision = decide(None, {}, event("OrderCancelling"), table, LATE)

    assert decision.state is not None
    assert (VOID, LATE) == (decision.state.status, decision.state.ended_at)
    assert {} == decision.touched
    assert [("InventoryReleased", LATE)] == [(e.type, e.time) for e in decision.events]


@both_tables
@pytest.mark.parametrize("held", [0, 2], ids=["nothing", "a hold"])
def test_a_void_order_holds_nothing_when_its_trigger_comes_and_gives_back_what_a_crash_left(
    table: Saga, held: int
) -> None:
    kept, trigger = reservation(VOID), event(table.trigger("inventory"), {"apple": 2, "nut": 1})
    stocks = {"apple": Stock("apple", 5).hold(ORDER, held)}

    assert frozenset({"apple", "nut"}) == products(kept, trigger, table)
    decision = decide(kept, stocks, trigger, table, LATE)

    assert kept is decision.state
    assert {"apple": Stock("apple", 5)} == decision.touched
    assert () == decision.events


@pytest.mark.parametrize("kind", ["PaymentFailed", "OrderConfirmed", "PaymentProcessed"])
def test_events_of_an_order_that_is_not_known_need_no_stock(kind: str) -> None:
    assert frozenset() == products(None, event(kind), INVENTORY_FIRST)
    assert () == decide(None, {}, event(kind), INVENTORY_FIRST, LATE).events


def test_a_simulated_failure_holds_nothing() -> None:
    stocks = {"apple": Stock("apple", 9)}

    decision = decide(None, stocks, placed({"apple": 2}), INVENTORY_FIRST, LATE, fails=True)

    assert ["InventoryRejected"] == [e.type for e in decision.events]
    assert stocks == decision.touched
