"""The windows job's events."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import islice, pairwise

import orjson

from app.codec import decode, encode
from app.events import OrderConfirmed, event_id
from app.topics import ORDER
from benchmarks.windows.events import (
    BEGINS,
    COUNTRIES,
    DISORDER_SECONDS,
    EVENTS_PER_HOUR,
    SPACING,
    Record,
    records,
)

COUNT = 2000


def some(seed: int = 1, count: int = COUNT) -> list[Record]:
    return list(islice(records(seed), count))


def placed_at(record: Record) -> datetime:
    return datetime.fromisoformat(orjson.loads(record.value)["placedAt"])


def test_a_seed_gives_the_same_events_every_time_and_another_seed_gives_others():
    assert some(7, 50) == some(7, 50)
    assert {record.key for record in some(7, 50)}.isdisjoint(r.key for r in some(8, 50))


def test_every_event_is_one_that_the_order_service_could_have_written():
    for record in some():
        event = decode(ORDER, record.key, record.value, record.headers)

        assert isinstance(event.data, OrderConfirmed)
        assert event_id(event.data) == event.id
        encoded = encode(event)
        assert (record.key, record.value, record.headers) == (
            encoded.key,
            encoded.value,
            encoded.headers,
        )


def test_an_orders_total_is_the_sum_of_its_lines():
    for record in some():
        order = decode(ORDER, record.key, record.value, record.headers).data

        assert sum(item.quantity * item.price for item in order.items) == order.total


def test_orders_are_spread_evenly_and_overtake_each_other_only_within_the_disorder():
    for number, record in enumerate(some()):
        turn = BEGINS + number * SPACING

        assert timedelta() <= turn - placed_at(record) <= timedelta(seconds=DISORDER_SECONDS + 1)
    times = [placed_at(record) for record in some()]
    hours = Counter(at.replace(minute=0, second=0, microsecond=0) for at in times)
    whole = sorted(hours)[1:-2]
    assert all(abs(hours[hour] - EVENTS_PER_HOUR) < EVENTS_PER_HOUR / 2 for hour in whole)


def test_some_orders_come_out_of_order():
    times = [placed_at(record) for record in some()]

    assert any(after < before for before, after in pairwise(times))


def test_countries_come_in_the_ledgers_shares():
    assert (38, 19_960) == (len(COUNTRIES), sum(COUNTRIES.values()))
    found = Counter(orjson.loads(record.value)["country"] for record in some(count=20_000))

    assert set(found) <= set(COUNTRIES)
    assert abs(found["United Kingdom"] / 20_000 - 18_019 / 19_960) < 0.02
    assert len(found) > 20


def test_no_order_comes_twice():
    assert COUNT == len({record.key for record in some()})
