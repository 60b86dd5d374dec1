"""The envelope: ids that follow from what happened, causes and correlation."""

from datetime import datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from app.events import (
    EVENT_TYPES,
    Event,
    InventoryReleased,
    Item,
    OrderEventData,
    OrderPlaced,
    ViewEventData,
    event_id,
    order_data,
    timestamp,
)
from tests.builders import (
    BY_USER,
    START,
    TIMEOUT,
    data,
    order,
    order_id,
    placed,
    view_data,
    view_id,
    viewed,
)

AT = "2011-12-09T12:50:00.000000Z"


OF_ORDERS = [name for name, model in EVENT_TYPES.items() if issubclass(model, OrderEventData)]
OF_VIEWS = [name for name, model in EVENT_TYPES.items() if issubclass(model, ViewEventData)]


def test_every_event_is_one_of_an_order_or_of_a_view() -> None:
    assert sorted(EVENT_TYPES) == sorted(OF_ORDERS + OF_VIEWS)


def test_an_events_id_follows_from_its_order_and_type() -> None:
    ids = {event_id(data(name, order(number=n))) for name in OF_ORDERS for n in range(1, 50)}

    assert 49 * len(OF_ORDERS) == len(ids)
    assert event_id(order({"apple": 1})) == event_id(order({"pear": 9}))
    assert event_id(data("OrderCancelling", order(), reason=BY_USER)) == event_id(
        data("OrderCancelling", order(), reason=TIMEOUT)
    )


def test_an_events_id_follows_from_its_view_and_type_whatever_movie_and_user() -> None:
    ids = {event_id(view_data(name, n)) for name in OF_VIEWS for n in range(1, 50)}

    assert 49 * len(OF_VIEWS) == len(ids)
    assert ids == {
        event_id(view_data(name, n, movie="brazil", user="bob"))
        for name in OF_VIEWS
        for n in range(1, 50)
    }


def test_each_milestone_of_one_view_has_events_of_its_own() -> None:
    for name in ("MovieMilestoneReached", "MilestoneNotified"):
        one = view_data(name, 10)
        ids = {event_id(one.model_copy(update={"milestone": reached})) for reached in (1, 10, 100)}
        assert 3 == len(ids)


@pytest.mark.parametrize("name", OF_VIEWS)
def test_what_a_view_led_to_is_keyed_by_its_movie_or_its_user(name: str) -> None:
    made = view_data(name, 7, movie="brazil", user="bob")

    assert ("bob" if name == "UserActed" else "brazil") == made.key
    assert view_id(7) == made.origin


def test_a_view_correlates_what_it_leads_to() -> None:
    first = viewed("alien", number=3)
    acted = first.follow(view_data("UserActed", 3), source="movies", at=AT)

    assert ("alien", view_id(3)) == (first.key, first.correlation_id)
    assert ("alice", view_id(3), first.id) == (acted.key, acted.correlation_id, acted.causation_id)


def test_the_id_of_what_can_happen_several_times_says_which_time_it_is() -> None:
    requests = {
        event_id(data("CancellationRequested", order(), reason=reason))
        for reason in (BY_USER, TIMEOUT, BY_USER)
    }
    attempts = {
        event_id(data(kind, order(), attempt=attempt))
        for kind in ("PaymentRefundFailed", "PaymentRefundRetried")
        for attempt in (2, 3, 4, 3)
    }

    assert 2 == len(requests)
    assert 6 == len(attempts)


def test_ids_never_change_between_versions() -> None:
    assert "ef74a155-1568-51f8-ac69-2e97e9362bcf" == event_id(order())
    request = data("CancellationRequested", order(), reason=BY_USER)
    assert "f8c9da8f-bf09-5fb7-9865-46881f31177a" == event_id(request)
    assert "91a7e544-ec2e-5067-b4cf-fff701caa875" == event_id(
        data("PaymentRefundRetried", order(), attempt=2)
    )
    assert "f26ea984-9c5e-5b55-a075-b61ae1d16cbe" == event_id(view_data("MovieViewed", 1))
    assert "f1cb8a4f-6454-5f56-92a9-820912f5e2ba" == event_id(
        view_data("MovieMilestoneReached", 10)
    )


def test_a_following_event_names_its_cause_and_keeps_correlation_and_trace() -> None:
    first = Event.first(order(), source="web", at=AT, traceparent="00-1-2-01")
    second = first.follow(InventoryReleased(order_id=order_id(1)), source="inventory", at="later")

    assert (first.id, order_id(1), "00-1-2-01") == (
        second.causation_id,
        second.correlation_id,
        second.traceparent,
    )
    assert ("orderflow/inventory", "later", "InventoryReleased") == (
        second.source,
        second.time,
        second.type,
    )
    assert first.causation_id is None


def test_times_are_utc_with_microseconds() -> None:
    there = datetime(2011, 12, 9, 14, 50, tzinfo=timezone(timedelta(hours=2)))

    assert AT == timestamp(there) == timestamp(START)


def test_the_orders_data_is_carried_without_the_fingerprint() -> None:
    carried = order_data(order())

    assert "fingerprint" not in carried
    assert order() == OrderPlaced.model_construct(**carried)


def test_a_place_in_time_is_needed() -> None:
    raw = order().model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="placedAt"):
        OrderPlaced.model_validate({**raw, "placedAt": "2011-12-09T12:50:00"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"orderId": "1"},
        {"orderId": order_id(1).upper() + "\n"},
        {"userId": ""},
        {"items": []},
        {"total": -0.01},
        {"placedAt": "yesterday"},
    ],
    ids=repr,
)
def test_an_order_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    raw = order().model_dump(by_alias=True)
    (field,) = wrong
    with pytest.raises(ValidationError, match=field):
        OrderPlaced.model_validate({**raw, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"product_id": ""},
        {"product_id": "x" * 65},
        {"quantity": 0},
        {"quantity": 1_000_001},
        {"quantity": 1.5},
        {"price": -0.01},
        {"price": True},
    ],
    ids=repr,
)
def test_an_item_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    good = {"product_id": "apple", "quantity": 1, "price": 1}
    Item.model_validate(good)
    with pytest.raises(ValidationError):
        Item.model_validate({**good, **wrong})


def test_an_event_can_not_be_changed() -> None:
    event = placed()
    with pytest.raises(AttributeError):
        event.time = "now"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        event.data.order_id = order_id(2)
