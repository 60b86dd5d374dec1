"""One order, on every way that its events, cancellations, crashes and repetitions can take.

Nothing is drawn at random here: a search goes through all of them. What must hold is asserted as it
goes (see `Choreography.publish`): an end is said when stock and money are as it says, and what is
said again is the same to its time.
"""

import pytest

from app.domain.order import OrderStatus
from app.events import CancellationRequested
from app.saga import Saga
from tests.builders import BY_USER, TIMEOUT
from tests.unit.saga.choreography import Choreography, Faults, every_ending
from tests.unit.saga.stories import BASKET, REASONS, both_tables

BY_ITS_USER = CancellationRequested(order_id=BASKET.order_id, reason=BY_USER)
FOR_TIME = CancellationRequested(order_id=BASKET.order_id, reason=TIMEOUT)

every_failure = pytest.mark.parametrize("fails", [None, "inventory", "payment"])


def placed(table: Saga, fails: str | None) -> Choreography:
    """An order of what is there was placed; one of its steps fails, or none does."""
    world = Choreography(table)
    world.inventory.stock({"apple": 5, "pear": 3})
    if fails is not None:
        world.let_fail(fails, BASKET.order_id)
    world.ask(BASKET)
    return world


def outcomes(world: Choreography, faults: Faults) -> set[tuple[OrderStatus, str | None]]:
    """Every end the order can come to; each is checked against stock and money."""
    found = set()
    for ending in every_ending(world, faults):
        ending.assert_settled(BASKET.order_id)
        order = ending.order.orders[BASKET.order_id]
        found.add((order.status, order.reason))
    return found


def by_itself(fails: str | None) -> tuple[OrderStatus, str | None]:
    """The end of an order that nobody cancels."""
    if fails is None:
        return OrderStatus.CONFIRMED, None
    return OrderStatus.CANCELLED, REASONS[fails]


@both_tables
@every_failure
def test_an_order_that_nobody_cancels_has_the_one_end_whatever_crashes_and_is_repeated(
    table: Saga, fails: str | None
) -> None:
    world = placed(table, fails)

    assert {by_itself(fails)} == outcomes(world, Faults(crashes=1, rewinds=1))


@both_tables
@every_failure
def test_an_order_that_is_cancelled_at_any_time_ends_as_if_it_had_been_or_had_not(
    table: Saga, fails: str | None
) -> None:
    world = placed(table, fails)

    cancelled = OrderStatus.CANCELLED, BY_USER
    assert {by_itself(fails), cancelled} == outcomes(world, Faults((BY_ITS_USER,), rewinds=1))


@both_tables
@every_failure
def test_an_order_that_is_cancelled_for_two_reasons_while_a_step_dies_ends_for_one_of_them(
    table: Saga, fails: str | None
) -> None:
    world = placed(table, fails)

    cancelled = {(OrderStatus.CANCELLED, reason) for reason in (BY_USER, TIMEOUT)}
    faults = Faults((BY_ITS_USER, FOR_TIME), crashes=1)
    assert {by_itself(fails), *cancelled} == outcomes(world, faults)


@both_tables
def test_an_order_that_is_cancelled_twice_for_one_reason_ends_as_if_once(table: Saga) -> None:
    once = outcomes(placed(table, None), Faults((BY_ITS_USER,)))

    assert once == outcomes(placed(table, None), Faults((BY_ITS_USER, BY_ITS_USER)))


@both_tables
def test_the_search_comes_through_every_state_of_a_cancelled_order(table: Saga) -> None:
    endings = every_ending(placed(table, None), Faults((BY_ITS_USER,)))

    second = table.steps[1].name
    found = {
        state.status.value
        for ending in endings
        for state in (
            ending.inventory.reservations if second == "inventory" else ending.payment.payments
        ).values()
    }
    undone, done = {
        "inventory": ("RELEASED", "SETTLED"),
        "payment": ("REFUNDED", "CHARGED"),
    }[second]
    assert {"VOID", undone, done} == found
