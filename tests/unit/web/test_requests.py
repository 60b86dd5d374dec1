import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.codec import decode, encode
from app.events import Event, OrderPlaced
from app.money import to_major
from app.topics import ORDER
from app.web.problems import ProblemError
from app.web.requests import PlaceOrder, parse_order
from tests.unit.web.conftest import BODY, World

ORDER_ID = "0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10"
MOST_ITEMS = 5


def parse(body: Any) -> PlaceOrder:
    return parse_order(orjson.dumps(body), max_items=MOST_ITEMS)


def fields(body: Any) -> list[str]:
    with pytest.raises(ProblemError) as refused:
        parse(body)
    assert 422 == refused.value.status
    return [error["field"] for error in refused.value.members["errors"]]


def item(**changes: Any) -> dict[str, Any]:
    return BODY | {"items": [{"productId": "a", "quantity": 1, "price": 1.5} | changes]}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], ["body"]),
        ("text", ["body"]),
        ({}, ["userId", "items"]),
        (BODY | {"userId": ""}, ["userId"]),
        (BODY | {"userId": "   "}, ["userId"]),
        (BODY | {"userId": "a\x00b"}, ["userId"]),
        (BODY | {"userId": "a\nb"}, ["userId"]),
        (BODY | {"userId": 7}, ["userId"]),
        (BODY | {"userId": "x" * 129}, ["userId"]),
        (BODY | {"items": []}, ["items"]),
        (BODY | {"items": {}}, ["items"]),
        (BODY | {"items": [None]}, ["items.0"]),
        (BODY | {"items": BODY["items"] * 3}, ["items"]),
        (BODY | {"user_id": "u1"}, ["user_id"]),
        (BODY | {"admin": True, "x": 1}, ["admin", "x"]),
        (item(colour="red"), ["items.0.colour"]),
        (item(productId="x" * 65), ["items.0.productId"]),
        (item(productId="\x7f"), ["items.0.productId"]),
        (item(quantity=0), ["items.0.quantity"]),
        (item(quantity=-1), ["items.0.quantity"]),
        (item(quantity=1.5), ["items.0.quantity"]),
        (item(quantity=True), ["items.0.quantity"]),
        (item(quantity="1"), ["items.0.quantity"]),
        (item(quantity=10**18), ["items.0.quantity"]),
        (item(quantity=10**18, price=-1), ["items.0.quantity", "items.0.price"]),
        (item(price=True), ["items.0.price"]),
        (item(price="1.5"), ["items.0.price"]),
        (item(price=1e300), ["items.0.price"]),
        (item(price=-0.01), ["items.0.price"]),
        (item(price=1e12, quantity=1_000_000), ["items"]),
        (item() | {"total": 1.51}, ["total"]),
        (item() | {"total": True}, ["total"]),
        (BODY | {"country": ""}, ["country"]),
        (BODY | {"placedAt": "2026-01-31T12:00:00"}, ["placedAt"]),
        (BODY | {"placedAt": "2026-01-31"}, ["placedAt"]),
        (BODY | {"placedAt": "1700000000"}, ["placedAt"]),
        (BODY | {"placedAt": 1700000000}, ["placedAt"]),
        (BODY | {"placedAt": "2026-02-30T12:00:00Z"}, ["placedAt"]),
        (BODY | {"placedAt": "0001-01-01T00:00:00+14:00"}, ["placedAt"]),
        (BODY | {"placedAt": "9999-12-31T23:59:59-14:00"}, ["placedAt"]),
    ],
)
def test_what_is_wrong_is_named(body: Any, named: list[str]) -> None:
    assert named == fields(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"userId": NaN}',
        b'{"userId": Infinity}',
        b'{"price": 1e999}',
        b'{"userId": "\\ud800"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_no_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_order(body, max_items=MOST_ITEMS)

    assert 400 == refused.value.status


def test_an_integer_may_be_written_with_a_point() -> None:
    written = parse(item(quantity=2.0))

    assert 2 == written.items[0].quantity
    assert isinstance(written.items[0].quantity, int)
    assert written.fingerprint() == parse(item(quantity=2)).fingerprint()


def test_only_so_many_errors_are_shown() -> None:
    with pytest.raises(ProblemError) as refused:
        parse({f"f{i}": i for i in range(1000)})

    assert 50 == len(refused.value.members["errors"])


def test_bodies_that_ask_for_the_same_have_one_fingerprint() -> None:
    written = parse(BODY | {"placedAt": "2026-01-31T12:00:00Z"})
    otherwise = parse(BODY | {"total": 18.69, "placedAt": "2026-01-31T13:00:00.000+01:00"})

    assert written.fingerprint() == otherwise.fingerprint()
    assert written.fingerprint() != parse(BODY).fingerprint()


amounts = st.integers(0, 10**9).map(to_major)
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
lines = st.fixed_dictionaries(
    {"productId": names, "quantity": st.integers(1, 10_000), "price": amounts}
)
valid_bodies = st.fixed_dictionaries(
    {"userId": names, "items": st.lists(lines, min_size=1, max_size=MOST_ITEMS)},
    optional={
        "country": st.none() | names,
        "placedAt": st.integers(0, 7_000_000_000_000_000).map(
            lambda us: datetime.fromtimestamp(us / 1e6, UTC).isoformat()
        ),
    },
)


@given(valid_bodies)
def test_what_is_accepted_is_an_event_that_every_consumer_can_read(body: Any) -> None:
    placed = parse(body).placed(ORDER_ID, datetime(2026, 1, 31, tzinfo=UTC))
    record = encode(Event.first(placed, source="order", at="t"))

    read = decode(ORDER, record.key, record.value, record.headers).data

    assert isinstance(read, OrderPlaced)
    assert placed == read


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 10**6)), min_size=1, max_size=5),
    st.integers(-3, 3),
)
def test_a_total_is_right_to_the_penny_or_refused(priced: list[tuple[int, int]], off: int) -> None:
    total = sum(quantity * price for quantity, price in priced)
    body = {
        "userId": "u1",
        "items": [{"productId": "a", "quantity": q, "price": to_major(p)} for q, p in priced],
        "total": to_major(total + off),
    }
    if off == 0:
        assert total == parse(body).sum
    else:
        assert ["total"] == fields(body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
almost_orders = st.fixed_dictionaries(
    {"userId": anything | names, "items": anything | st.lists(lines | anything, max_size=3)},
    optional={"total": anything, "country": anything, "placedAt": anything | st.text("0123T:-Z")},
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=200,
    deadline=None,
)
@given(body=anything | almost_orders | valid_bodies)
async def test_no_json_whatever_breaks_the_server(world: World, body: Any) -> None:
    response = await world.client.post(
        "/orders", data=json.dumps(body), headers={"Content-Type": "application/json"}
    )

    assert response.status in {202, 400, 422}
    await response.json(content_type=None)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(body=st.binary(max_size=200))
async def test_no_bytes_whatever_break_the_server(world: World, body: bytes) -> None:
    response = await world.client.post(
        "/orders", data=body, headers={"Content-Type": "application/json"}
    )

    assert response.status in {400, 422}
