"""Whole sagas, told: the decisions of order, inventory and payment against each other."""

from collections.abc import Callable

import pytest

from app.domain.order import OrderStatus
from app.events import InventoryRejected, InventoryReserved, OrderCancelled, PaymentFailed
from app.saga import INVENTORY_FIRST, Saga
from tests.builders import PAYMENT_FIRST, PRICE, order, order_id, placed
from tests.saga_dsl import Choreography, Told, saga

BASKET = order({"apple": 2, "pear": 3})


Story = Callable[[Told], Told]

STORIES: dict[str, Story] = {
    "confirmed": lambda told: (
        told.with_stock(apple=5, pear=3)
        .given(BASKET)
        .expect("InventoryReserved", "PaymentProcessed")
        .ends("OrderConfirmed")
    ),
    "out of stock": lambda told: (
        told.with_stock(apple=5, pear=2)
        .given(BASKET)
        .expect("InventoryRejected")
        .ends("OrderCancelled", reason="OUT_OF_STOCK")
    ),
    "unknown product": lambda told: (
        told.with_stock(apple=5)
        .given(BASKET)
        .expect("InventoryRejected")
        .ends("OrderCancelled", reason="UNKNOWN_PRODUCT")
    ),
    "payment failed": lambda told: (
        told.with_stock(apple=5, pear=3)
        .given(BASKET)
        .expect("InventoryReserved")
        .given_failure("PaymentFailed")
        .expect_compensated("InventoryReleased")
        .ends("OrderCancelled", reason="PAYMENT_FAILED")
    ),
}

STORIES_PAYMENT_FIRST: dict[str, Story] = {
    "confirmed": lambda told: (
        told.with_stock(apple=5, pear=3)
        .given(BASKET)
        .expect("PaymentProcessed", "InventoryReserved")
        .ends("OrderConfirmed")
    ),
    "payment failed": lambda told: (
        told.with_stock(apple=5, pear=3)
        .given(BASKET)
        .given_failure("PaymentFailed")
        .ends("OrderCancelled", reason="PAYMENT_FAILED")
    ),
    "out of stock": lambda told: (
        told.with_stock(apple=5, pear=2)
        .given(BASKET)
        .expect("PaymentProcessed", "InventoryRejected")
        .expect_compensated("PaymentRefunded")
        .ends("OrderCancelled", reason="OUT_OF_STOCK")
    ),
}

ALL_STORIES = [
    *(pytest.param(INVENTORY_FIRST, s, id=f"inventory-first {n}") for n, s in STORIES.items()),
    *(
        pytest.param(PAYMENT_FIRST, s, id=f"payment-first {n}")
        for n, s in STORIES_PAYMENT_FIRST.items()
    ),
]
stories = pytest.mark.parametrize(("table", "story"), ALL_STORIES)


def test_an_order_of_what_is_there_is_confirmed_and_sold() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=5, pear=3)
        .given(BASKET)
        .expect("InventoryReserved", "PaymentProcessed")
        .ends("OrderConfirmed")
    )

    assert {"apple": (3, 0, 2), "pear": (0, 0, 3)} == told.stock


def test_an_order_of_more_than_is_there_holds_nothing_and_is_cancelled() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=5, pear=2)
        .given(BASKET)
        .expect("InventoryRejected")
        .ends("OrderCancelled", reason="OUT_OF_STOCK")
    )

    assert {"apple": (5, 0, 0), "pear": (2, 0, 0)} == told.stock
    rejected = told.said("InventoryRejected")
    assert isinstance(rejected, InventoryRejected)
    assert ("pear",) == rejected.products


def test_an_order_of_an_unknown_product_is_cancelled_with_the_product_named() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=5)
        .given(BASKET)
        .expect("InventoryRejected")
        .ends("OrderCancelled", reason="UNKNOWN_PRODUCT")
    )

    assert {"apple": (5, 0, 0)} == told.stock
    rejected = told.said("InventoryRejected")
    assert isinstance(rejected, InventoryRejected)
    assert ("pear",) == rejected.products


def test_an_order_both_short_and_unknown_is_cancelled_as_unknown() -> None:
    (
        saga(INVENTORY_FIRST)
        .with_stock(apple=1)
        .given(BASKET)
        .expect("InventoryRejected")
        .ends("OrderCancelled", reason="UNKNOWN_PRODUCT")
    )


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


def test_payment_first_a_missing_item_gives_the_money_back() -> None:
    told = (
        saga(PAYMENT_FIRST)
        .with_stock(apple=5, pear=2)
        .given(BASKET)
        .expect("PaymentProcessed", "InventoryRejected")
        .expect_compensated("PaymentRefunded")
        .ends("OrderCancelled", reason="OUT_OF_STOCK")
    )

    assert 1 == told.world.payment.refunds[BASKET.order_id]


def test_an_order_that_names_a_product_twice_holds_the_sum() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=5)
        .given(order([("apple", 2), ("apple", 3)]))
        .expect("InventoryReserved", "PaymentProcessed")
        .ends("OrderConfirmed")
    )

    assert {"apple": (0, 0, 5)} == told.stock
    reserved = told.said("InventoryReserved")
    assert isinstance(reserved, InventoryReserved)
    assert [2, 3] == [item.quantity for item in reserved.items]
    assert 5 * PRICE == reserved.total


def test_an_order_that_names_a_product_twice_is_short_of_the_sum() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .with_stock(apple=4)
        .given(order([("apple", 2), ("apple", 3)]))
        .expect("InventoryRejected")
        .ends("OrderCancelled", reason="OUT_OF_STOCK")
    )

    assert {"apple": (4, 0, 0)} == told.stock


@stories
def test_every_event_names_the_one_that_led_to_it_and_the_order(table: Saga, story: Story) -> None:
    told = story(saga(table))

    ids = {event.id for event in told.events}
    assert len(told.events) == len(ids)
    first, *others = told.events
    assert first.causation_id is None
    assert all(event.causation_id in ids for event in others)
    assert {BASKET.order_id} == {event.correlation_id for event in told.events}


@stories
def test_duplicates_of_every_event_at_any_point_change_nothing(table: Saga, story: Story) -> None:
    once = story(saga(table))
    often = story(saga(table).with_duplicates())

    assert once.stock == often.stock
    assert [e.id for e in once.events] == [e.id for e in often.events]
    assert once.world.payment.charges == often.world.payment.charges


@stories
def test_hearing_the_whole_history_again_says_exactly_the_same_again(
    table: Saga, story: Story
) -> None:
    world: Choreography = story(saga(table)).world
    states = (
        dict(world.order.orders),
        dict(world.inventory.shelf),
        dict(world.inventory.reservations),
        dict(world.payment.payments),
    )

    answers = [
        said
        for participant in world.participants
        for topic in participant.topics
        for event in list(world.topics[topic])
        for said in world.tell(participant.name, event)
    ]

    derived = [event for event in world.said.values() if event.type != table.starts]
    assert sorted(event.id for event in derived) == sorted(event.id for event in answers)
    assert all(world.said[event.id] == event for event in answers)
    assert states == (
        world.order.orders,
        world.inventory.shelf,
        world.inventory.reservations,
        world.payment.payments,
    )


LATE = [
    pytest.param(participant, topic, id=f"{participant} hears {topic} last")
    for participant, topic in (
        ("order", "order.events.v1"),
        ("order", "inventory.events.v1"),
        ("order", "payment.events.v1"),
        ("inventory", "payment.events.v1"),
    )
]


@pytest.mark.parametrize(("participant", "topic"), LATE)
@pytest.mark.parametrize("duplicates", [False, True], ids=["once", "with duplicates"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_topics_may_be_heard_in_any_order_among_each_other(
    story: Story, participant: str, topic: str, duplicates: bool
) -> None:
    told = saga(INVENTORY_FIRST).hearing_late(participant, topic)
    if duplicates:
        told.with_duplicates()

    assert story(saga(INVENTORY_FIRST)).stock == story(told).stock


def test_an_order_heard_of_last_is_pending_until_then() -> None:
    told = (
        saga(INVENTORY_FIRST)
        .hearing_late("order", "order.events.v1")
        .with_stock(apple=1)
        .given(order())
        .expect("InventoryReserved", "PaymentProcessed")
    )
    world = told.world
    while set(world.waiting()) - {("order", "order.events.v1")}:
        told._advance()

    waiting = world.order.orders[order_id(1)]
    assert waiting.placed is None
    assert OrderStatus.PENDING is waiting.status
    told.ends("OrderConfirmed")


def test_two_orders_for_the_last_unit_one_gets_it() -> None:
    world = Choreography(INVENTORY_FIRST)
    world.inventory.stock({"apple": 1})
    for number in (1, 2):
        world.publish(placed(number=number))

    world.run()

    ends = [world.order.orders[order_id(number)].status for number in (1, 2)]
    assert [OrderStatus.CONFIRMED, OrderStatus.CANCELLED] == ends
    for number in (1, 2):
        world.assert_settled(order_id(number))


def test_the_cancelled_event_carries_the_order() -> None:
    told = STORIES["payment failed"](saga(INVENTORY_FIRST))

    cancelled = told.said("OrderCancelled")
    assert isinstance(cancelled, OrderCancelled)
    assert BASKET.items == cancelled.items
    assert BASKET.total == cancelled.total
