"""Whole sagas, told in their details; see tests/unit/saga for what holds of every story."""

import pytest

from app.domain.order import OrderStatus
from app.events import (
    InventoryRejected,
    InventoryReserved,
    OrderCancelled,
    OrderPlaced,
    PaymentFailed,
    PaymentRefunded,
)
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Saga
from tests.builders import BY_USER, PRICE, order, order_id, placed
from tests.saga_dsl import Choreography, Told, saga
from tests.unit.saga.stories import (
    BASKET,
    TABLES,
    Story,
    both_tables,
    cancelled_before_the_first_step,
    cancelled_between_the_steps,
    confirmed,
    the_second_step_fails,
)


def rejected(table: Saga, of: OrderPlaced, **stock: int) -> Told:
    """An order of more than is there: paid and given back, where the payment comes first."""
    told = saga(table).with_stock(**stock).given(of)
    if table is INVENTORY_FIRST:
        return told.expect("InventoryRejected")
    told.expect("PaymentProcessed", "InventoryRejected").expect_compensated("PaymentRefunded")
    return told


@both_tables
def test_an_order_of_what_is_there_is_confirmed_and_sold(table: Saga) -> None:
    told = confirmed(saga(table))

    assert {"apple": (3, 0, 2), "pear": (0, 0, 3)} == told.stock
    assert 1 == told.world.payment.provider.charges[BASKET.order_id]


@both_tables
def test_an_order_of_more_than_is_there_holds_nothing_and_is_cancelled(table: Saga) -> None:
    told = rejected(table, BASKET, apple=5, pear=2).ends("OrderCancelled", reason="OUT_OF_STOCK")

    assert {"apple": (5, 0, 0), "pear": (2, 0, 0)} == told.stock
    data = told.said("InventoryRejected")
    assert isinstance(data, InventoryRejected)
    assert ("pear",) == data.products


@both_tables
def test_an_order_of_an_unknown_product_is_cancelled_with_the_product_named(table: Saga) -> None:
    told = rejected(table, BASKET, apple=5).ends("OrderCancelled", reason="UNKNOWN_PRODUCT")

    assert {"apple": (5, 0, 0)} == told.stock
    data = told.said("InventoryRejected")
    assert isinstance(data, InventoryRejected)
    assert ("pear",) == data.products


@both_tables
def test_an_order_both_short_and_unknown_is_cancelled_as_unknown(table: Saga) -> None:
    rejected(table, BASKET, apple=1).ends("OrderCancelled", reason="UNKNOWN_PRODUCT")


def test_a_failed_payment_gives_the_stock_back_before_the_order_is_cancelled() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=5, pear=3)
        .given(BASKET)
        .expect("InventoryReserved")
        .given_failure("PaymentFailed")
        .expect_compensated("InventoryReleased")
        .ends("OrderCancelled", reason="PAYMENT_FAILED")
    )

    assert {"apple": (5, 0, 0), "pear": (3, 0, 0)} == told.stock
    failed = told.said("PaymentFailed")
    assert isinstance(failed, PaymentFailed)
    assert BASKET.total == failed.amount


def test_a_failed_reservation_says_nothing_of_payment() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=5, pear=3)
        .given(BASKET)
        .given_failure("InventoryRejected")
        .ends("OrderCancelled", reason="OUT_OF_STOCK")
    )

    assert {} == told.world.payment.payments


def test_payment_first_a_failed_payment_says_nothing_of_stock() -> None:
    told = (
        saga(PAYMENT_FIRST)
        .with_stock(apple=5, pear=3)
        .given(BASKET)
        .given_failure("PaymentFailed")
        .ends("OrderCancelled", reason="PAYMENT_FAILED")
    )

    assert {} == told.world.inventory.reservations


def test_payment_first_a_missing_item_gives_the_money_back() -> None:
    told = rejected(PAYMENT_FIRST, BASKET, apple=5, pear=2)

    told.ends("OrderCancelled", reason="OUT_OF_STOCK")

    assert 1 == told.world.payment.provider.refunds[BASKET.order_id]
    refunded = told.said("PaymentRefunded")
    assert isinstance(refunded, PaymentRefunded)
    assert BASKET.total == refunded.amount


@both_tables
def test_an_order_that_names_a_product_twice_holds_the_sum(table: Saga) -> None:
    told = saga(table).with_stock(apple=5).given(order([("apple", 2), ("apple", 3)]))

    told.expect(*(step.done for step in table.steps)).ends("OrderConfirmed")

    assert {"apple": (0, 0, 5)} == told.stock
    reserved = told.said("InventoryReserved")
    assert isinstance(reserved, InventoryReserved)
    assert [2, 3] == [item.quantity for item in reserved.items]
    assert 5 * PRICE == reserved.total


@both_tables
def test_an_order_that_names_a_product_twice_is_short_of_the_sum(table: Saga) -> None:
    told = rejected(table, order([("apple", 2), ("apple", 3)]), apple=4)

    told.ends("OrderCancelled", reason="OUT_OF_STOCK")

    assert {"apple": (4, 0, 0)} == told.stock


@both_tables
def test_two_orders_for_the_last_unit_one_gets_it(table: Saga) -> None:
    world = Choreography(table)
    world.inventory.stock({"apple": 1})
    for number in (1, 2):
        world.publish(placed(number=number))

    world.run()

    ends = [world.order.orders[order_id(number)].status for number in (1, 2)]
    assert [OrderStatus.CONFIRMED, OrderStatus.CANCELLED] == ends
    for number in (1, 2):
        world.assert_settled(order_id(number))


@both_tables
def test_the_last_unit_of_a_cancelled_order_is_there_for_the_next(table: Saga) -> None:
    world = Choreography(table)
    world.inventory.stock({"apple": 1})
    world.publish(placed(number=1))
    world.cancel(order_id(1), BY_USER)
    world.run()
    world.publish(placed(number=2))

    world.run()

    ends = [world.order.orders[order_id(number)].status for number in (1, 2)]
    assert [OrderStatus.CANCELLED, OrderStatus.CONFIRMED] == ends
    for number in (1, 2):
        world.assert_settled(order_id(number))


@both_tables
@pytest.mark.parametrize(
    "story",
    [the_second_step_fails, cancelled_between_the_steps],
    ids=lambda story: story.__name__,
)
def test_the_cancelled_event_carries_the_order(table: Saga, story: Story) -> None:
    cancelled = story(saga(table)).said("OrderCancelled")

    assert isinstance(cancelled, OrderCancelled)
    assert BASKET.items == cancelled.items
    assert BASKET.total == cancelled.total


def test_what_was_never_charged_is_called_refunded_of_nothing() -> None:
    told = cancelled_before_the_first_step(saga(TABLES["inventory first"]))

    refunded = told.said("PaymentRefunded")
    assert isinstance(refunded, PaymentRefunded)
    assert 0 == refunded.amount
    assert {} == +told.world.payment.provider.charges


@both_tables
def test_a_request_for_an_order_that_nobody_placed_is_ignored(table: Saga) -> None:
    world = Choreography(table)
    world.cancel(order_id(1), BY_USER)

    world.run()

    assert ["CancellationRequested"] == [event.type for event in world.said.values()]
    assert {} == world.order.orders
