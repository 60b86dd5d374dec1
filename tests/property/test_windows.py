"""Windows equal a recomputation, whatever is delivered again, sent again, or cut short."""

import asyncio
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.analytics import AnalyticsService, order_windows
from app.events import EventData, Item, OrderCancelled, OrderConfirmed, OrderPlaced
from app.tables import keys
from app.tables.folding import Plan
from app.tables.keys import By
from app.tables.tally import Summary, Sums
from app.topics import ORDER
from tests.tables import MemoryTable, record

HOUR = 3600
SPAN_SECONDS = 6 * HOUR
RETENTION = {60: 10 * HOUR, HOUR: 20 * HOUR, 86_400: 90 * HOUR}
# As long as the whole: nothing is late.
PATIENT = Plan(RETENTION, (By.NONE, By.COUNTRY, By.PRODUCT), SPAN_SECONDS, 0, 10_000)


def placed(number: int, second: int, items: list[tuple[int, int]], country: int) -> dict[str, Any]:
    lines = tuple(Item(product_id=f"p{p}", quantity=q, price=0.25 * p) for p, q in items)
    return {
        "order_id": str(uuid.UUID(int=number, version=4)),
        "user_id": f"u{number % 3}",
        "items": lines,
        "total": sum(line.price * line.quantity for line in lines) / 100,
        "country": f"c{country}",
        "placed_at": datetime.fromtimestamp(second, UTC),
    }


ORDERS = st.lists(
    st.tuples(
        st.integers(0, SPAN_SECONDS),
        st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=3),
        st.integers(0, 2),
        st.sampled_from(["placed", "confirmed", "cancelled", "only confirmed"]),
    ),
    min_size=1,
    max_size=25,
)


@st.composite
def logs(draw: st.DrawFn) -> list[EventData]:
    """A partition's events: each order's in their order, some sent again later."""
    events: list[EventData] = []
    for number, (second, items, country, end) in enumerate(draw(ORDERS)):
        data = placed(number, second, items, country)
        mine: list[EventData] = [] if end == "only confirmed" else [OrderPlaced(**data)]
        if end.endswith("confirmed"):
            mine.append(OrderConfirmed(**data))
        if end == "cancelled":
            mine.append(OrderCancelled(**data, reason="OUT_OF_STOCK"))
        at = 0
        for event in mine:
            at = draw(st.integers(at, len(events)))
            events.insert(at, event)
            at += 1
    again = draw(st.lists(st.integers(0, len(events) - 1), max_size=8))
    return events + [events[n] for n in again]


def recomputed(log: list[EventData]) -> dict[tuple[int, By, int, str], Sums]:
    """The windows, from every order and its end."""
    found: dict[tuple[int, By, int, str], Sums] = defaultdict(Sums)
    for data in {event.key: event for event in log if event.key}.values():
        ends = {type(e) for e in log if e.key == data.key} & {OrderConfirmed, OrderCancelled}
        confirmed, cancelled = OrderConfirmed in ends, OrderCancelled in ends
        second = int(data.placed_at.timestamp())
        products: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for item in data.items:
            products[item.product_id][0] += item.price * item.quantity
            products[item.product_id][1] += item.quantity
        for size in RETENTION:
            start = second // size * size
            cells = [(By.NONE, "", data.total), (By.COUNTRY, data.country, data.total)]
            units = {None: sum(i.quantity for i in data.items)}
            cells += [(By.PRODUCT, p, money) for p, (money, _) in products.items()]
            for by, key, money in cells:
                quantity = products[key][1] if by is By.PRODUCT else units[None]
                sums = found[size, by, start, key]
                sums.add(
                    Sums(
                        orders=1,
                        confirmed=int(confirmed),
                        cancelled=int(cancelled),
                        revenue=money * confirmed,
                        units=quantity * confirmed,
                    )
                )
    return found


def kept(table: MemoryTable) -> dict[tuple[int, By, int, str], Sums]:
    """The windows of the table."""
    found = {}
    for size in RETENTION:
        for by in PATIENT.by:
            for key, value in table.scan(
                0, keys.window(size, by, 0), keys.window(size, by, SPAN_SECONDS * 90)
            ):
                start, name = keys.parse_window(key)
                tally = Summary.decode(value).sums if by is By.NONE else Sums.decode(value)
                tally.version = 0
                found[size, by, start, name] = tally
    return found


def service(table: MemoryTable, plan: Plan = PATIENT) -> AnalyticsService:
    made = AnalyticsService([order_windows(plan)])
    made.tables[ORDER.name] = table
    return made


@settings(max_examples=150, deadline=None)
@given(logs(), st.data())
def test_windows_equal_a_recomputation_after_any_crashes_and_repetitions(
    log: list[EventData], data: st.DataObject
) -> None:
    """Each run of the service begins anywhere at or before what is written, with other chunks; and
    may end in the middle of a write."""
    table = MemoryTable()
    records = [record(event, offset, arrived=offset) for offset, event in enumerate(log)]
    done = committed = 0
    crashes = 0
    while done < len(records):
        running = service(table)
        at = data.draw(st.integers(0, committed), "delivered from")
        while at < len(records):
            end = data.draw(st.integers(at + 1, len(records)), "chunk")
            batch = [running.decode(each) for each in records[at:end]]
            if crashes < 4 and data.draw(st.booleans(), "crash"):
                crashes += 1
                table.cut = data.draw(st.integers(0, 40), "cut")
            try:
                asyncio.run(running.handle(batch))
            except ConnectionError:
                break
            table.cut = None
            at = end
            done = committed = max(done, end)

    assert dict(recomputed(log)) == kept(table)
    totals = Summary.decode(table.read(0, [keys.TOTALS])[0] or b"")
    orders = {event.key for event in log}
    cancelled = {event.key for event in log if isinstance(event, OrderCancelled)}
    assert len(orders) == totals.sums.orders
    assert ({"OUT_OF_STOCK": len(cancelled)} if cancelled else {}) == totals.reasons
    users = {event.user_id for event in log}
    assert len(users) == round(totals.customers.get_estimate())
    assert {} == totals.late
