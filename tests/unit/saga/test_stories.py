"""What holds for every story, of both sagas: causes, duplicates, replays, stock and money."""

import pytest

from app.domain.order import OrderStatus
from app.saga import Saga
from tests.saga_dsl import saga
from tests.unit.saga.stories import (
    BASKET,
    CANCELLED,
    RUNNING_BY_ITSELF,
    TABLES,
    Story,
    begun,
    both_tables,
    confirmed,
    told_of_both,
)

UNTOUCHED = {"apple": (5, 0, 0), "pear": (3, 0, 0)}
SOLD = {"apple": (3, 0, 2), "pear": (0, 0, 3)}
every_story = told_of_both(*RUNNING_BY_ITSELF, *CANCELLED)


@every_story
def test_an_order_is_sold_and_paid_or_leaves_no_trace(table: Saga, story: Story) -> None:
    told = story(saga(table))

    ended = told.world.order.orders[BASKET.order_id].status
    assert (SOLD if ended is OrderStatus.CONFIRMED else UNTOUCHED) == told.stock


@every_story
def test_every_event_names_the_one_that_led_to_it_and_the_order(table: Saga, story: Story) -> None:
    told = story(saga(table))

    ids = {event.id for event in told.events}
    asked = {table.starts, table.cancel_request}
    assert len(told.events) == len(ids)
    for event in told.events:
        assert (event.causation_id is None) is (event.type in asked)
        assert event.causation_id in {None, *ids}
    assert {BASKET.order_id} == {event.correlation_id for event in told.events}


@every_story
def test_duplicates_of_every_event_at_any_point_change_nothing(table: Saga, story: Story) -> None:
    once = story(saga(table))
    often = story(saga(table).with_duplicates())

    assert once.stock == often.stock
    assert [e.id for e in once.events] == [e.id for e in often.events]
    assert once.world.payment.provider.charges == often.world.payment.provider.charges
    assert once.world.payment.provider.refunds == often.world.payment.provider.refunds


@every_story
def test_hearing_the_whole_history_again_says_exactly_the_same_again(
    table: Saga, story: Story
) -> None:
    world = story(saga(table)).world
    before = world.twin()

    answers = {
        said.id: said
        for participant in world.participants
        for topic in world.reads(participant.name)
        for event in world.topics[topic]
        for said in world.tell(participant.name, event)
    }

    asked = {table.starts, table.cancel_request}
    assert {e.id for e in world.said.values() if e.type not in asked} == answers.keys()
    for id_, said in answers.items():
        assert (world.said[id_].data, world.said[id_].time) == (said.data, said.time)
    assert before.order.orders == world.order.orders
    assert before.inventory.shelf == world.inventory.shelf
    assert before.inventory.reservations == world.inventory.reservations
    assert before.payment.payments == world.payment.payments
    assert vars(before.payment.provider) == vars(world.payment.provider)


READINGS = [
    pytest.param(table, *reading, id=f"{name}: {' hears '.join(reading)} last")
    for name, table in TABLES.items()
    for reading in saga(table).world.positions
]


@pytest.mark.parametrize(("table", "participant", "topic"), READINGS)
@pytest.mark.parametrize("duplicates", [False, True], ids=["once", "with duplicates"])
@pytest.mark.parametrize("story", RUNNING_BY_ITSELF, ids=lambda story: story.__name__)
def test_topics_may_be_heard_in_any_order_among_each_other(
    story: Story, table: Saga, participant: str, topic: str, duplicates: bool
) -> None:
    told = saga(table).hearing_late(participant, topic)
    if duplicates:
        told.with_duplicates()

    assert story(saga(table)).stock == story(told).stock


@both_tables
def test_an_order_heard_of_last_is_pending_until_then(table: Saga) -> None:
    told, first, second = begun(saga(table).hearing_late("order", "order.events.v1"))
    told.expect(first.done, second.done)
    told.hears("order", second.done)

    waiting = told.world.order.orders[told.order_id]
    assert waiting.placed is None
    assert OrderStatus.PENDING is waiting.status
    told.ends("OrderConfirmed")


@both_tables
@pytest.mark.parametrize("story", CANCELLED, ids=lambda story: story.__name__)
def test_a_cancelled_order_says_so_once_and_its_reason_is_the_first_that_was_heard(
    table: Saga, story: Story
) -> None:
    told = story(saga(table))

    kinds = [event.type for event in told.world.said.values()]
    granted = "OrderCancelling" in kinds
    assert granted == (told.world.order.orders[told.order_id].cancelled_by is not None)
    if granted:
        assert getattr(told.said("OrderCancelling"), "reason", None) == getattr(
            told.said("OrderCancelled"), "reason", None
        )
        assert "OrderConfirmed" not in kinds


@both_tables
def test_a_step_that_promised_never_to_begin_does_not_when_its_trigger_comes_late(
    table: Saga,
) -> None:
    told, first, second = begun(saga(table))
    told.expect(first.done).given_cancelled().expect("OrderCancelling")
    told.hears(second.name, "OrderCancelling").expect_void(second.undone)
    before = told.world.twin()

    told.hears(second.name, first.done)

    (participant,) = (p for p in told.world.steps if p.name == second.name)
    (earlier,) = (p for p in before.steps if p.name == second.name)
    assert earlier.shape() == participant.shape()
    assert before.said.keys() == told.world.said.keys()
    told.expect_compensated(first.undone).ends("OrderCancelled", reason="CANCELLED_BY_USER")


@both_tables
def test_a_refund_that_was_refused_is_asked_for_until_it_is_given(table: Saga) -> None:
    told, first, second = begun(saga(table))
    told.given_refusals(2).expect(first.done, second.done).given_cancelled()
    told.hears("order", "CancellationRequested").expect("OrderCancelling")
    told.hears("payment", "OrderCancelling").expect("PaymentRefundFailed")
    told.hears("inventory", "OrderCancelling").expect_compensated("InventoryReleased")

    told.given_sweep().expect("PaymentRefundFailed")
    assert OrderStatus.PENDING is told.world.order.orders[told.order_id].status
    told.given_sweep().expect_compensated("PaymentRefunded")
    told.ends("OrderCancelled", reason="CANCELLED_BY_USER")

    assert not told.world.sweep()


def test_a_story_that_ends_otherwise_is_noticed() -> None:
    with pytest.raises(AssertionError, match="silence"):
        confirmed(saga(TABLES["inventory first"])).expect("OrderCancelled")
