"""Windows equal a recomputation, whatever is delivered again, sent again, or cut short."""

import asyncio
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.analytics import AnalyticsService, order_windows
from app.events import EventData, Item, OrderCancelled, OrderConfirmed, OrderPlaced
from app.tables import folding, keys, ledger
from app.tables.folding import Plan
from app.tables.keys import By
from app.tables.ledger import Progress
from app.tables.tally import Summary, Sums
from app.topics import ORDER
from tests.tables import MemoryTable, record

HOUR = 3600
SPAN_SECONDS = 6 * HOUR
RETENTION = {60: 10 * HOUR, HOUR: 20 * HOUR, 86_400: 90 * HOUR}
# As long as the whole: nothing is late.
PATIENT = Plan(RETENTION, (By.NONE, By.COUNTRY, By.PRODUCT), SPAN_SECONDS, 0, 10_000)
# Orders are late for it, and windows go, after minutes.
IMPATIENT = Plan({60: 400, 300: 700}, PATIENT.by, 90, 60, 10_000)
# So few that pages and sweeps of these short logs are several.
PAGE, DELETES = 4, 7


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


@st.composite
def ragged_logs(draw: st.DrawFn) -> list[Any]:
    """Records of orders placed some minutes before they came, or after it; that end at once, or
    when their windows are gone; some sent again."""
    came = 10_000
    events: list[tuple[int, EventData]] = []
    for number in range(draw(st.integers(3, 25))):
        came += draw(st.sampled_from([0, 1, 5, 30, 120, 400]))
        at = came - draw(st.sampled_from([0, 0, 20, 100, 200, 500, -30, -200]))
        items = [(p, draw(st.integers(1, 3))) for p in range(1, draw(st.integers(1, 2)) + 1)]
        data = placed(number, at, items, number % 2)
        events.append((came, OrderPlaced(**data)))
        ended = came + draw(st.sampled_from([0, 1, 50, 300, 1000]))
        end = draw(st.sampled_from(["confirmed", "confirmed", "cancelled", "none"]))
        if end == "confirmed":
            events.append((ended, OrderConfirmed(**data)))
        if end == "cancelled":
            events.append((ended, OrderCancelled(**data, reason="OUT_OF_STOCK")))
        if draw(st.booleans()):
            again = draw(st.integers(0, len(events) - 1))
            events.append((ended + draw(st.sampled_from([10, 400, 2000])), events[again][1]))
    events.sort(key=lambda each: each[0])
    return [record(e, offset, arrived=at * 1000) for offset, (at, e) in enumerate(events)]


def told(table: MemoryTable) -> dict[bytes, Any]:
    """The totals, the windows and the watermark."""
    found: dict[bytes, Any] = {}
    for key, value in table.partitions[0].items():
        if key == keys.PROGRESS:
            found[key] = Progress.decode(value).watermark
        elif key == keys.TOTALS or (key[:1] == b"w" and key[keys.BY_AT] == By.NONE):
            summary = Summary.decode(value)
            users = round(summary.customers.get_estimate())
            summary.version = 0
            found[key] = summary.sums, summary.reasons, summary.late, users
        elif key[:1] == b"w":
            found[key] = Sums.decode(value)
            found[key].version = 0
    return found


def gone(key: bytes, watermark: int) -> bool:
    """Whether it is of a window beyond its retention: deleted sooner or later, and never shown."""
    if key[:1] != b"w":
        return False
    size = int.from_bytes(key[1 : keys.BY_AT], "big")
    return keys.parse_window(key)[0] < watermark // 1000 - IMPATIENT.retention[size] - size


@settings(max_examples=200, deadline=None)
@given(ragged_logs(), st.data())
def test_with_late_orders_and_deleted_windows_any_chunks_and_crashes_tell_the_same(
    records: list[Any], data: st.DataObject
) -> None:
    with patch.object(ledger, "PAGE_RECORDS", PAGE), patch.object(folding, "DELETES_MAX", DELETES):
        one_by_one, table = MemoryTable(), MemoryTable()
        running = service(one_by_one, IMPATIENT)
        for each in records:
            asyncio.run(running.handle([running.decode(each)]))
        done = crashes = 0
        while done < len(records):
            running = service(table, IMPATIENT)
            at = data.draw(st.integers(0, done), "delivered from")
            while at < len(records):
                end = data.draw(st.integers(at + 1, len(records)), "chunk")
                if crashes < 4 and data.draw(st.booleans(), "crash"):
                    crashes += 1
                    table.cut = data.draw(st.integers(0, 40), "cut")
                try:
                    asyncio.run(running.handle([running.decode(each) for each in records[at:end]]))
                except ConnectionError:
                    break
                table.cut = None
                at = end
                done = max(done, end)

    expected, found = told(one_by_one), told(table)
    watermark = expected.get(keys.PROGRESS, 0)
    # When a window is deleted depends on the chunks; never what it holds while it is there.
    for key in (*expected, *found):
        if not gone(key, watermark) or (key in expected and key in found):
            assert expected.get(key) == found.get(key), (key, watermark)
