"""Events on the wire: what is encoded is decoded; everything else is undecodable, and no worse."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.codec import UndecodableError, decode, encode
from app.events import (
    EVENT_TYPES,
    Event,
    Item,
    MovieEventData,
    OrderData,
    OrderEventData,
    UserActed,
    event_id,
    timestamp,
)
from app.money import MAX_MINOR
from app.topics import BY_EVENT, BY_NAME, INVENTORY, ORDER, SPECS
from tests.builders import order, placed

many = settings(max_examples=200, deadline=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
uuids = st.uuids().map(str)
money = st.integers(0, MAX_MINOR)
times = st.integers(-62_000_000_000_000, 253_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
lines = st.builds(
    Item.model_construct,
    product_id=texts,
    quantity=st.integers(1, 1_000_000),
    price=money,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "order_id": uuids,
    "view_id": uuids,
    "movie_id": texts,
    "action": st.just("VIEWED_MOVIE"),
    "viewed_at": times,
    "number": st.integers(1, 2**53),
    "milestone": st.integers(1, 2**53),
    "user_id": texts,
    "items": st.lists(lines, min_size=1, max_size=4).map(tuple),
    "total": money,
    "country": st.none() | texts,
    "placed_at": times,
    "fingerprint": st.none() | texts,
    "reason": texts,
    "products": st.lists(texts, max_size=3).map(tuple),
    "payment_id": texts,
    "amount": st.integers(-MAX_MINOR, MAX_MINOR),
    "detail": st.none() | texts,
    "outcome": st.sampled_from(["CONFIRMED", "CANCELLED"]),
    "channel": st.sampled_from(["EMAIL", "LOG"]),
    "message_id": texts,
    "at": times,
    "attempt": st.integers(2, 1000),
}
KEYED_BY = (
    (OrderEventData, "orderId"),
    (MovieEventData, "movieId"),
    (UserActed, "userId"),
)


@st.composite
def events(draw: st.DrawFn, types: Sequence[str] = tuple(sorted(EVENT_TYPES))) -> Event:
    """Any event of any of the types."""
    model = EVENT_TYPES[draw(st.sampled_from(types))]
    fields = {name: draw(FIELDS[name]) for name in model.model_fields}
    data = model.model_construct(None, **fields)
    return Event(
        id=event_id(data),
        source=draw(texts),
        time=timestamp(draw(times)),
        correlation_id=draw(texts),
        data=data,
        causation_id=draw(st.none() | uuids),
        traceparent=draw(st.none() | texts),
    )


@many
@given(events())
def test_what_is_encoded_is_decoded(event: Event) -> None:
    record = encode(event)

    assert event == decode(BY_NAME[record.topic], record.key, record.value, record.headers)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_type_of_event_is_decoded_as_itself(name: str) -> None:
    @settings(max_examples=20, deadline=None)
    @given(events([name]))
    def check(event: Event) -> None:
        record = encode(event)
        again = decode(BY_EVENT[name], record.key, record.value, record.headers)
        assert type(event.data) is type(again.data)
        assert event == again

    check()


@many
@given(events())
def test_the_value_is_plain_json_in_camel_case_and_the_key_is_the_id_of_what_it_is_about(
    event: Event,
) -> None:
    record = encode(event)

    value = json.loads(record.value)
    (named,) = (name for model, name in KEYED_BY if isinstance(event.data, model))
    assert record.key.decode() == value[named]
    assert not [name for name in value if "_" in name]
    assert None not in value.values()
    if isinstance(event.data, OrderData):
        assert round(value["total"] * 100) == event.data.total


names = st.sampled_from(
    ["ce_id", "ce_type", "ce_source", "ce_time", "correlationid", "traceparent", "other"]
)
contents = st.none() | st.binary(max_size=20) | st.sampled_from([t.encode() for t in EVENT_TYPES])
GOOD = encode(placed())


@settings(max_examples=500, deadline=None)
@given(
    topic=st.sampled_from(SPECS),
    key=st.none() | st.binary(max_size=40) | st.just(GOOD.key),
    value=st.none() | st.binary(max_size=60) | st.just(GOOD.value),
    headers=st.lists(st.tuples(names, contents), max_size=8) | st.just(GOOD.headers),
)
@example(topic=ORDER, key=GOOD.key, value=b"[" * 10_000, headers=GOOD.headers)
@example(topic=ORDER, key=GOOD.key, value=b"\xff", headers=GOOD.headers)
@example(topic=ORDER, key=GOOD.key, value=b"null", headers=GOOD.headers)
def test_any_record_is_an_event_or_undecodable(
    topic: object, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    try:
        event = decode(topic, key, value, headers)  # type: ignore[arg-type]
    except UndecodableError:
        return
    assert event.key.encode() == key


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just("0001-01-01T00:00:00+23:59")
    | st.just("9999-12-31T23:59:59.999999-23:59")
    | st.just("1e400"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(
    changed=st.dictionaries(
        st.sampled_from(["orderId", "userId", "items", "total", "placedAt", "country"]),
        json_values,
        min_size=1,
    )
)
@example(changed={"placedAt": "0001-01-01T00:00:00+23:59"})
@example(changed={"placedAt": "9999-12-31T23:59:59-23:59"})
@example(changed={"total": 10**400})
@example(changed={"userId": "\ud800"})
def test_a_record_with_wrong_fields_is_an_event_or_undecodable(changed: dict[str, object]) -> None:
    value = json.dumps({**json.loads(GOOD.value), **changed}).encode()
    try:
        event = decode(ORDER, GOOD.key, value, GOOD.headers)
    except UndecodableError:
        return
    encode(event)
    assert isinstance(event.data, OrderData)
    assert UTC == event.data.placed_at.tzinfo
    assert 0 == event.data.placed_at.microsecond % 1000


@many
@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_a_time_is_kept_in_utc_to_the_millisecond(at: datetime) -> None:
    value = json.dumps({**json.loads(GOOD.value), "placedAt": at.isoformat()}).encode()
    try:
        event = decode(ORDER, GOOD.key, value, GOOD.headers)
    except UndecodableError:
        return  # an offset with seconds, or a year beyond 1 to 9999 in UTC
    assert isinstance(event.data, OrderData)
    late = at - event.data.placed_at
    assert timedelta(0) <= late < timedelta(milliseconds=1)


def without(name: str) -> list[tuple[str, bytes]]:
    return [(header, content) for header, content in GOOD.headers if header != name]


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_time"])
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(UndecodableError, match=f"header {name} is missing"):
        decode(ORDER, GOOD.key, GOOD.value, without(name))


def test_an_event_on_a_topic_that_is_not_its_own_is_refused() -> None:
    with pytest.raises(UndecodableError, match="'OrderPlaced' is no event of inventory"):
        decode(INVENTORY, GOOD.key, GOOD.value, GOOD.headers)


def test_an_unknown_event_is_refused() -> None:
    headers = [*without("ce_type"), ("ce_type", b"OrderEaten")]
    with pytest.raises(UndecodableError, match="'OrderEaten' is no event"):
        decode(ORDER, GOOD.key, GOOD.value, headers)


def test_a_record_without_a_value_is_refused() -> None:
    with pytest.raises(UndecodableError, match="no value"):
        decode(ORDER, GOOD.key, None, GOOD.headers)


def test_a_key_that_is_not_the_orders_id_is_refused() -> None:
    other = encode(placed(number=2)).key
    for key in (None, b"", other, GOOD.key.upper() + b" "):
        with pytest.raises(UndecodableError, match="the key is not the id of what"):
            decode(ORDER, key, GOOD.value, GOOD.headers)


def test_a_header_that_is_no_text_is_refused() -> None:
    with pytest.raises(UndecodableError, match="a header is not UTF-8"):
        decode(ORDER, GOOD.key, GOOD.value, [*GOOD.headers, ("other", b"\xff")])


def test_wrong_fields_are_named_and_many_are_counted() -> None:
    value = json.dumps({"orderId": order().order_id, "total": True, "items": [{}]}).encode()

    with pytest.raises(UndecodableError, match=r"not a valid OrderPlaced: userId: .*and \d+ more"):
        decode(ORDER, GOOD.key, value, GOOD.headers)
