"""Confirmed orders, as the order service writes them, made fast and from a seed.

One order is encoded by the application itself; every event is that record with its own values in
it. Countries come in the shares of the real sales ledger, so most windows belong to one country
and the others are thin. Orders are spread evenly over the hours: more events are a longer time, not
fuller windows. Each is placed up to `DISORDER_SECONDS` before its turn, so that a partition is not
quite in order.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, count
from uuid import UUID, uuid5

from app.codec import Headers, encode
from app.events import Event, Item, OrderConfirmed, OrderPlaced, timestamp

# Orders a country has in the UCI "Online Retail" ledger: 38 countries, 19,960 orders.
COUNTRIES = {
    "United Kingdom": 18019,
    "Germany": 457,
    "France": 392,
    "EIRE": 288,
    "Belgium": 98,
    "Netherlands": 94,
    "Spain": 90,
    "Portugal": 58,
    "Australia": 57,
    "Switzerland": 54,
    "Finland": 41,
    "Italy": 38,
    "Norway": 36,
    "Sweden": 36,
    "Channel Islands": 26,
    "Japan": 19,
    "Poland": 19,
    "Denmark": 18,
    "Austria": 17,
    "Cyprus": 16,
    "Unspecified": 13,
    "Hong Kong": 11,
    "Israel": 8,
    "Iceland": 7,
    "Singapore": 7,
    "Canada": 6,
    "Greece": 5,
    "Malta": 5,
    "USA": 5,
    "European Community": 4,
    "Lithuania": 4,
    "Bahrain": 3,
    "United Arab Emirates": 3,
    "Czech Republic": 2,
    "Brazil": 1,
    "Lebanon": 1,
    "RSA": 1,
    "Saudi Arabia": 1,
}
# 500,000 events are then a year of 8,760 hours.
EVENTS_PER_HOUR = 500_000 / 8_760
SPACING = timedelta(hours=1) / EVENTS_PER_HOUR
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
# At 6 partitions a partition's events are 6 minutes apart: some overtake a few others.
DISORDER_SECONDS = 900
PRODUCTS = 2500
USERS = 4000
MOST_UNITS = 12
PRICE_MINOR = (29, 4995)
SEED = 1

# What stands for a value in the record that the application encodes; each is found once or more in
# it, and nothing else in it looks like one.
_ORDER_ID = "11111111-1111-4111-8111-111111111111"
_USER, _COUNTRY = "the-user", "the-country"
_PRODUCTS = ("the-product-1", "the-product-2")
_UNITS = (1_000_001 - 10, 1_000_001 - 20)
_PRICES = (777_777_01, 888_888_02)
_TOTAL = 999_999_03
_PLACED = datetime(1999, 9, 9, 9, 9, 9, 909_000, tzinfo=UTC)
_TIME = "1999-08-08T08:08:08.080808Z"
_TRACE = "00-22222222222222222222222222222222-3333333333333333-01"


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it goes to Kafka."""

    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class _Template:
    value: str
    headers: tuple[tuple[str, str], ...]


def _template() -> _Template:
    """The application's own record, with `{}` where values go."""
    items = tuple(
        Item(product_id=product, quantity=units, price=price / 100)
        for product, units, price in zip(_PRODUCTS, _UNITS, _PRICES, strict=True)
    )
    data = {
        "order_id": _ORDER_ID,
        "user_id": _USER,
        "items": items,
        "total": _TOTAL / 100,
        "country": _COUNTRY,
        "placed_at": _PLACED,
    }
    placed = Event.first(OrderPlaced(**data), source="web", at=_TIME, traceparent=_TRACE)
    event = placed.follow(OrderConfirmed(**data), source="order", at=_TIME)
    encoded = encode(event)
    marks = {
        _ORDER_ID: "order",
        _USER: "user",
        _COUNTRY: "country",
        _PRODUCTS[0]: "product1",
        _PRODUCTS[1]: "product2",
        str(_UNITS[0]): "units1",
        str(_UNITS[1]): "units2",
        str(_PRICES[0] / 100): "price1",
        str(_PRICES[1] / 100): "price2",
        str(_TOTAL / 100): "total",
        timestamp(_PLACED): "placed",
        _TIME: "time",
        _TRACE: "trace",
        event.id: "id",
        placed.id: "cause",
    }

    def marked(text: str) -> str:
        text = text.replace("{", "{{").replace("}", "}}")
        for value, name in marks.items():
            text = text.replace(value, f"{{{name}}}")
        return text

    headers = tuple((name, marked(content.decode())) for name, content in encoded.headers)
    return _Template(marked(encoded.value.decode()), headers)


def records(seed: int = SEED) -> Iterator[Record]:
    """Events without end, in the order in which they are confirmed; the same for a seed."""
    chance = random.Random(seed)
    template = _template()
    fill = template.value.format
    names = list(COUNTRIES)
    shares = list(accumulate(COUNTRIES.values()))
    traces = chance.getrandbits(128)
    for number in count():
        order = str(UUID(int=chance.getrandbits(128), version=4))
        placed = BEGINS + number * SPACING - timedelta(seconds=chance.random() * DISORDER_SECONDS)
        units = chance.randint(1, MOST_UNITS), chance.randint(1, MOST_UNITS)
        prices = chance.randint(*PRICE_MINOR), chance.randint(*PRICE_MINOR)
        at = placed.strftime("%Y-%m-%dT%H:%M:%S")
        millisecond = placed.microsecond // 1000
        value = fill(
            order=order,
            user=f"user-{chance.randrange(USERS)}",
            country=chance.choices(names, cum_weights=shares)[0],
            product1=f"item-{chance.randrange(PRODUCTS)}",
            product2=f"item-{chance.randrange(PRODUCTS)}",
            units1=units[0],
            units2=units[1],
            price1=prices[0] / 100,
            price2=prices[1] / 100,
            total=(units[0] * prices[0] + units[1] * prices[1]) / 100,
            placed=f"{at}.{millisecond:03d}000Z" if millisecond else f"{at}Z",
        )
        yield Record(order.encode(), value.encode(), _headers(template, order, traces ^ number, at))


def _headers(template: _Template, order: str, trace_id: int, at: str) -> Headers:
    trace = f"{trace_id:032x}"
    values = {
        "order": order,
        "time": f"{at}.000000Z",
        "trace": f"00-{trace}-{trace[:16]}-01",
        "id": str(uuid5(UUID(order), "OrderConfirmed")),
        "cause": str(uuid5(UUID(order), "PaymentProcessed")),
    }
    return [(name, content.format_map(values).encode()) for name, content in template.headers]
