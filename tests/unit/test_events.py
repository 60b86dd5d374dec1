"""The envelope: ids that follow from what happened, causes and correlation."""

from datetime import datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from app.events import (
    EVENT_TYPES,
    Event,
    InventoryReleased,
    Item,
    OrderPlaced,
    event_id,
    order_data,
    timestamp,
)
from tests.builders import BY_USER, START, TIMEOUT, data, order, order_id, placed

AT = "2011-12-09T12:50:00.000000Z"


def test_an_events_id_follows_from_its_order_and_type() -> None:
    ids = {event_id(data(name, order(number=n))) for name in EVENT_TYPES for n in range(1, 50)}

    assert 49 * len(EVENT_TYPES) == len(ids)
    assert event_id(order({"apple": 1})) == event_id(order({"pear": 9}))
    assert event_id(data("OrderCancelling", order(), reason=BY_USER)) == event_id(
        data("OrderCancelling", order(), reason=TIMEOUT)
    )


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
