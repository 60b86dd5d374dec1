"""The stories that are told of both sagas, each in its own order of steps."""

from collections.abc import Callable

import pytest

from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Step
from tests.builders import BY_USER, TIMEOUT, order
from tests.saga_dsl import Told

Story = Callable[[Told], Told]

BASKET = order({"apple": 2, "pear": 3})
TABLES = {"inventory first": INVENTORY_FIRST, "payment first": PAYMENT_FIRST}
REASONS = {"inventory": "OUT_OF_STOCK", "payment": "PAYMENT_FAILED"}


def begun(told: Told) -> tuple[Told, Step, Step]:
    """An order of what is there was placed; and the saga's steps."""
    first, second = told.world.table.steps
    return told.with_stock(apple=5, pear=3).given(BASKET), first, second


def confirmed(told: Told) -> Told:
    told, first, second = begun(told)
    return told.expect(first.done, second.done).ends("OrderConfirmed")


def the_first_step_fails(told: Told) -> Told:
    told, first, _ = begun(told)
    return told.given_failure(first.failed).ends("OrderCancelled", reason=REASONS[first.name])


def the_second_step_fails(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_failure(second.failed)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=REASONS[second.name])
    )


def cancelled_before_the_first_step(told: Told) -> Told:
    """The first step's participant hears of the order before it hears that it is cancelled."""
    told, first, second = begun(told)
    return (
        told.given_cancelled()
        .expect("OrderCancelling")
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .expect(first.done)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_between_the_steps(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_cancelled()
        .expect("OrderCancelling")
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .hears(second.name, first.done)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_while_the_second_step_is_under_way(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_cancelled()
        .expect("OrderCancelling")
        .hears(second.name, first.done)
        .expect(second.done)
        .hears(second.name, "OrderCancelling")
        .expect_compensated(second.undone)
        .hears(first.name, "OrderCancelling")
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_after_the_last_step_and_before_the_end(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done, second.done)
        .given_cancelled()
        .hears("order", "CancellationRequested")
        .expect("OrderCancelling")
        .hears(first.name, "OrderCancelling")
        .expect_compensated(first.undone)
        .hears("order", first.undone)
        .hears(second.name, "OrderCancelling")
        .expect_compensated(second.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_too_late_for_the_last_step_was_heard_of(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done, second.done)
        .given_cancelled()
        .hears("order", second.done)
        .ends("OrderConfirmed")
    )


def cancelled_after_it_was_confirmed(told: Told) -> Told:
    return confirmed(told).given_cancelled().given_timeout().expect_nothing_more()


def cancelled_after_it_had_failed(told: Told) -> Told:
    return the_second_step_fails(told).given_cancelled().given_timeout().expect_nothing_more()


def cancelled_again_and_again(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.given_cancelled()
        .given_cancelled()
        .expect("OrderCancelling")
        .given_cancelled()
        .hears("order", "CancellationRequested")
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .given_cancelled()
        .expect(first.done)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
        .given_cancelled()
        .expect_nothing_more()
    )


def cancelled_by_its_user_and_then_for_taking_too_long(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.given_cancelled()
        .given_timeout()
        .expect("OrderCancelling")
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .expect(first.done)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_for_taking_too_long_and_then_by_its_user(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_timeout()
        .expect("OrderCancelling")
        .given_cancelled()
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=TIMEOUT)
    )


def cancelled_after_the_first_step_was_heard_to_fail(told: Told) -> Told:
    told, first, _ = begun(told)
    return (
        told.given_failure(first.failed)
        .given_cancelled()
        .hears("order", first.failed)
        .ends("OrderCancelled", reason=REASONS[first.name])
    )


def cancelled_before_the_first_step_was_heard_to_fail(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.given_failure(first.failed)
        .given_cancelled()
        .hears("order", "CancellationRequested")
        .expect("OrderCancelling")
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_after_the_second_step_was_heard_to_fail(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_failure(second.failed)
        .given_cancelled()
        .hears("order", second.failed)
        .hears("order", "CancellationRequested")
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=REASONS[second.name])
    )


def cancelled_before_the_second_step_was_heard_to_fail(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_failure(second.failed)
        .given_cancelled()
        .hears("order", "CancellationRequested")
        .expect("OrderCancelling")
        .hears(first.name, "OrderCancelling")
        .expect_compensated(first.undone)
        .hears(first.name, second.failed)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_and_the_first_step_hears_of_the_failure_before(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_failure(second.failed)
        .given_cancelled()
        .hears("order", "CancellationRequested")
        .expect("OrderCancelling")
        .hears(first.name, second.failed)
        .expect_compensated(first.undone)
        .hears(first.name, "OrderCancelling")
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_so_the_second_step_does_not_even_fail(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_weakness(second.failed)
        .given_cancelled()
        .expect("OrderCancelling")
        .hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_after_the_second_step_died_half_way(told: Told) -> Told:
    """What it did before it died is undone with the promise, or when it hears its trigger again."""
    told, first, second = begun(told)
    told.expect(first.done).given_cancelled().expect("OrderCancelling")
    told.crashes(second.name, first.done)
    assert next(p for p in told.world.steps if p.name == second.name).keeps(told.order_id)
    return (
        told.hears(second.name, "OrderCancelling")
        .expect_void(second.undone)
        .hears(second.name, first.done)
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


def cancelled_after_the_second_step_died_half_way_and_did_it_again(told: Told) -> Told:
    told, first, second = begun(told)
    return (
        told.expect(first.done)
        .given_cancelled()
        .expect("OrderCancelling")
        .crashes(second.name, first.done)
        .hears(second.name, first.done)
        .expect(second.done)
        .hears(second.name, "OrderCancelling")
        .expect_compensated(second.undone)
        .hears(first.name, "OrderCancelling")
        .expect_compensated(first.undone)
        .ends("OrderCancelled", reason=BY_USER)
    )


RUNNING_BY_ITSELF: tuple[Story, ...] = (
    confirmed,
    the_first_step_fails,
    the_second_step_fails,
)
CANCELLED: tuple[Story, ...] = (
    cancelled_before_the_first_step,
    cancelled_between_the_steps,
    cancelled_while_the_second_step_is_under_way,
    cancelled_after_the_last_step_and_before_the_end,
    cancelled_too_late_for_the_last_step_was_heard_of,
    cancelled_after_it_was_confirmed,
    cancelled_after_it_had_failed,
    cancelled_again_and_again,
    cancelled_by_its_user_and_then_for_taking_too_long,
    cancelled_for_taking_too_long_and_then_by_its_user,
    cancelled_after_the_first_step_was_heard_to_fail,
    cancelled_before_the_first_step_was_heard_to_fail,
    cancelled_after_the_second_step_was_heard_to_fail,
    cancelled_before_the_second_step_was_heard_to_fail,
    cancelled_and_the_first_step_hears_of_the_failure_before,
    cancelled_so_the_second_step_does_not_even_fail,
    cancelled_after_the_second_step_died_half_way,
    cancelled_after_the_second_step_died_half_way_and_did_it_again,
)

both_tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())


def told_of_both(*stories: Story) -> pytest.MarkDecorator:
    """Each of the stories, of both sagas."""
    return pytest.mark.parametrize(
        ("table", "story"),
        [
            pytest.param(table, story, id=f"{name}: {story.__name__.replace('_', ' ')}")
            for name, table in TABLES.items()
            for story in stories
        ],
    )
