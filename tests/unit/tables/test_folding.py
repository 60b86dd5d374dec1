"""Which records count, in which windows, and what is written of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.agents.analytics import AnalyticsService, order_windows
from app.codec import UndecodableError
from app.events import CancellationRequested, Item, OrderCancelled, OrderConfirmed, OrderPlaced
from app.listeners import Listeners
from app.tables import keys
from app.tables.decoding import Kind, decode, decode_all
from app.tables.folding import DELETES_MAX, Plan
from app.tables.keys import By
from app.tables.ledger import PAGE_RECORDS, Progress
from app.tables.orders import NO_COUNTRY
from app.tables.tally import Summary, Sums
from app.topics import ORDER
from tests.tables import MemoryTable, record

HOUR = 3600
DAY = 24 * HOUR
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_SECONDS = int(NOON.timestamp())
RETENTION = {60: 4 * HOUR, HOUR: 8 * HOUR, DAY: 3 * DAY}
PLAN = Plan(RETENTION, (By.NONE, By.COUNTRY, By.PRODUCT), HOUR, 60, 1000)


def fields(number: int, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    return {
        "order_id": f"00000000-0000-4000-8000-{number:012d}",
        "user_id": "alice",
        "items": (Item(product_id="cup", quantity=2, price=1.25),),
        "total": 2.5,
        "country": "France",
        "placed_at": NOON + timedelta(minutes=minutes),
        **changes,
    }


def confirmed(number: int, minutes: float = 0, **changes: Any) -> OrderConfirmed:
    return OrderConfirmed(**fields(number, minutes, **changes))


class Analytics:
    """The service over a table in memory, fed with one partition."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.table = MemoryTable()
        self.late: list[tuple[str, int]] = []
        self.service = AnalyticsService(
            [order_windows(plan)], listeners=Listeners(late=lambda *late: self.late.append(late))
        )
        self.service.tables[ORDER.name] = self.table
        self.offset = 0

    async def hear(self, *events: Any, arrived: int | None = None) -> None:
        """One chunk; each record came when it says it was placed, unless told otherwise."""
        batch = []
        for event in events:
            placed = getattr(event, "placed_at", NOON)
            at = round(placed.timestamp() * 1000) if arrived is None else arrived
            batch.append(self.service.decode(record(event, self.offset, arrived=at)))
            self.offset += 1
        await self.service.handle(batch)

    def value(self, key: bytes) -> bytes | None:
        return self.table.read(0, [key])[0]

    def sums(self, size: int, by: By, start: int, key: str = "") -> Sums | None:
        stored = self.value(keys.window(size, by, start, key))
        if stored is None:
            return None
        sums = Summary.decode(stored).sums if by is By.NONE else Sums.decode(stored)
        sums.version = 0
        return sums

    @property
    def totals(self) -> Summary:
        stored = self.value(keys.TOTALS)
        assert stored is not None
        return Summary.decode(stored)

    @property
    def progress(self) -> Progress:
        stored = self.value(keys.PROGRESS)
        assert stored is not None
        return Progress.decode(stored)


async def test_a_confirmed_order_is_in_a_window_of_each_size_and_dimension() -> None:
    shop = Analytics()
    await shop.hear(OrderPlaced(**fields(1)), confirmed(1))

    once = Sums(orders=1, confirmed=1, revenue=250, units=2)
    for size in RETENTION:
        start = NOON_SECONDS // size * size
        assert once == shop.sums(size, By.NONE, start)
        assert once == shop.sums(size, By.COUNTRY, start, "France")
        assert once == shop.sums(size, By.PRODUCT, start, "cup")
    assert 2 == shop.progress.offset


async def test_an_order_is_counted_when_placed_and_its_revenue_when_confirmed() -> None:
    shop = Analytics()
    await shop.hear(OrderPlaced(**fields(1)))
    assert Sums(orders=1) == shop.sums(HOUR, By.NONE, NOON_SECONDS)

    await shop.hear(confirmed(1))
    assert Sums(orders=1, confirmed=1, revenue=250, units=2) == shop.sums(
        HOUR, By.NONE, NOON_SECONDS
    )


async def test_a_cancelled_order_brings_no_revenue_and_tells_its_reason() -> None:
    shop = Analytics()
    await shop.hear(OrderCancelled(**fields(1), reason="OUT_OF_STOCK"))
    assert Sums(orders=1, cancelled=1) == shop.sums(HOUR, By.PRODUCT, NOON_SECONDS, "cup")
    assert {"OUT_OF_STOCK": 1} == shop.totals.reasons


async def test_lines_of_one_product_add_up_in_one_order() -> None:
    shop = Analytics()
    items = tuple(Item(product_id="cup", quantity=n, price=n) for n in (1, 2))
    await shop.hear(confirmed(1, items=items, total=5))
    assert Sums(orders=1, confirmed=1, revenue=500, units=3) == shop.sums(
        DAY, By.PRODUCT, NOON_SECONDS // DAY * DAY, "cup"
    )


async def test_an_order_without_a_country_is_of_an_unknown_one() -> None:
    shop = Analytics()
    await shop.hear(confirmed(1, country=None))
    assert shop.sums(HOUR, By.COUNTRY, NOON_SECONDS, NO_COUNTRY) is not None


async def test_windows_begin_at_their_start_and_end_before_the_next() -> None:
    shop = Analytics()
    await shop.hear(*(confirmed(n, minutes) for n, minutes in enumerate((-0.001, 0, 59.999, 60))))
    starts = (NOON_SECONDS - HOUR, NOON_SECONDS, NOON_SECONDS + HOUR)
    found = [shop.sums(HOUR, By.NONE, start) for start in starts]
    assert [1, 2, 1] == [sums.orders if sums else None for sums in found]


async def test_the_time_from_acceptance_to_end_is_measured() -> None:
    shop = Analytics()
    await shop.hear(OrderPlaced(**fields(1)), arrived=10_000)
    await shop.hear(confirmed(1), arrived=12_500)
    assert 2.5 == shop.totals.seconds.get_quantile(0.5)


@pytest.mark.parametrize("apart", [False, True], ids=["one chunk", "two chunks"])
async def test_an_event_sent_again_counts_once(*, apart: bool) -> None:
    shop = Analytics()
    events = [OrderPlaced(**fields(1)), confirmed(1)]
    if apart:
        await shop.hear(*events)
        await shop.hear(*events)
    else:
        await shop.hear(*events, *events)
    assert (1, 1, 250) == (
        shop.totals.sums.orders,
        shop.totals.sums.confirmed,
        shop.totals.sums.revenue,
    )


async def test_an_event_sent_again_beyond_the_horizon_counts_again() -> None:
    """What the horizon means; it is what bounds the memory."""
    plan = Plan(RETENTION, PLAN.by, HOUR, 60, horizon=10)
    shop = Analytics(plan)
    await shop.hear(confirmed(0))
    for n in range(1, 9):
        await shop.hear(confirmed(n))
    await shop.hear(confirmed(0))
    assert 9 == shop.totals.sums.confirmed
    # It is forgotten by pages, a whole one at a time.
    others = 10 + PAGE_RECORDS
    for n in range(20, 20 + others):
        await shop.hear(confirmed(n))
    await shop.hear(confirmed(0))
    assert 9 + others + 1 == shop.totals.sums.confirmed
    pages = list(shop.table.scan(0, keys.seen(0), keys.seen(keys.OFFSET_MAX)))
    assert len(pages) <= 2


async def test_an_event_within_the_grace_is_counted_and_a_later_one_apart() -> None:
    shop = Analytics()
    await shop.hear(confirmed(1, 0))
    # The minute of -60 ends at -59, and its grace at 1: not yet passed. That of -61 ends there.
    await shop.hear(confirmed(2, -60), confirmed(3, -61))

    assert Sums(orders=1, confirmed=1, revenue=250, units=2) == shop.sums(
        60, By.NONE, NOON_SECONDS - HOUR
    )
    assert shop.sums(60, By.NONE, NOON_SECONDS - HOUR - 60) is None
    hour_before_last = shop.sums(HOUR, By.COUNTRY, NOON_SECONDS - 2 * HOUR, "France")
    assert hour_before_last is None
    assert {"60": 1, "3600": 1} == shop.totals.late
    assert (3, 750) == (shop.totals.sums.confirmed, shop.totals.sums.revenue)
    assert [(ORDER.name, 1)] == shop.late


async def test_what_is_late_for_a_minute_may_be_in_time_for_its_day() -> None:
    shop = Analytics()
    await shop.hear(confirmed(1, 0))
    await shop.hear(confirmed(2, -180))
    today = shop.sums(DAY, By.NONE, NOON_SECONDS // DAY * DAY)
    assert today is not None
    assert 2 == today.confirmed
    assert {"60": 1, "3600": 1} == shop.totals.late


async def test_an_order_only_placed_does_not_make_others_late() -> None:
    shop = Analytics()
    await shop.hear(OrderPlaced(**fields(1, 600)))
    await shop.hear(confirmed(2, 0))
    assert {} == shop.totals.late


async def test_an_order_placed_in_time_ends_in_time_however_far_the_others_are() -> None:
    shop = Analytics()
    await shop.hear(OrderPlaced(**fields(1)), OrderPlaced(**fields(2, 100)))
    await shop.hear(OrderCancelled(**fields(2, 100), reason="OUT_OF_STOCK"))
    await shop.hear(confirmed(1))
    assert Sums(orders=1, confirmed=1, revenue=250, units=2) == shop.sums(60, By.NONE, NOON_SECONDS)
    assert {} == shop.totals.late


async def test_the_end_of_an_order_does_not_bring_back_a_window_that_is_deleted() -> None:
    shop = Analytics()
    await shop.hear(OrderPlaced(**fields(1)))
    await shop.hear(confirmed(2, 6 * 60))
    assert shop.sums(60, By.NONE, NOON_SECONDS) is None

    await shop.hear(confirmed(1))

    assert shop.sums(60, By.NONE, NOON_SECONDS) is None
    assert shop.sums(60, By.PRODUCT, NOON_SECONDS, "cup") is None
    assert Sums(orders=1, confirmed=1, revenue=250, units=2) == shop.sums(
        HOUR, By.NONE, NOON_SECONDS
    )
    assert ({"60": 1}, 2) == (shop.totals.late, shop.totals.sums.confirmed)


async def test_an_order_placed_too_late_ends_too_late_and_its_time_is_measured() -> None:
    shop = Analytics()
    await shop.hear(confirmed(2, 180))
    await shop.hear(OrderPlaced(**fields(1)), arrived=10_000)
    await shop.hear(confirmed(1), arrived=12_500)
    assert shop.sums(60, By.NONE, NOON_SECONDS) is None
    assert {"60": 2, "3600": 2} == shop.totals.late
    assert 2 == shop.totals.sums.confirmed
    assert 2.5 == shop.totals.seconds.get_quantile(0.5)


async def test_one_wrong_clock_does_not_make_the_others_late() -> None:
    shop = Analytics()
    now = round(NOON.timestamp() * 1000)
    await shop.hear(confirmed(1, minutes=60 * 24 * 365), arrived=now)
    assert now + PLAN.ahead_seconds * 1000 == shop.progress.watermark
    await shop.hear(confirmed(2, 0), arrived=now)
    assert {} == shop.totals.late


async def test_an_order_of_the_future_does_not_hold_the_time_of_now() -> None:
    shop = Analytics()
    now = round(NOON.timestamp() * 1000)
    await shop.hear(OrderPlaced(**fields(1, 0.5)), arrived=now)
    assert now == shop.progress.newest
    await shop.hear(confirmed(1, 0.5), confirmed(2, -1), arrived=now + 1000)
    assert now + 1000 == shop.progress.newest
    assert now + 30_000 == shop.progress.watermark


async def test_windows_beyond_their_retention_are_deleted_and_the_totals_stay() -> None:
    shop = Analytics()
    await shop.hear(confirmed(1, 0))
    await shop.hear(confirmed(2, 6 * 60))
    assert shop.sums(60, By.NONE, NOON_SECONDS) is None
    assert shop.sums(60, By.PRODUCT, NOON_SECONDS, "cup") is None
    assert shop.sums(HOUR, By.NONE, NOON_SECONDS) is not None
    await shop.hear(confirmed(3, 12 * 60))
    assert shop.sums(HOUR, By.NONE, NOON_SECONDS) is None
    assert 3 == shop.totals.sums.confirmed


async def test_a_write_deletes_a_bounded_number_of_windows_and_the_rest_later() -> None:
    shop = Analytics()
    many = DELETES_MAX + 500
    items = tuple(Item(product_id=f"p{n}", quantity=1, price=1) for n in range(many))
    await shop.hear(confirmed(1, 0, items=items, total=many))

    def left() -> int:
        found = shop.table.scan(
            0,
            keys.window(60, By.PRODUCT, NOON_SECONDS),
            keys.window(60, By.PRODUCT, NOON_SECONDS + 1),
        )
        return sum(1 for _ in found)

    assert many == left()
    await shop.hear(confirmed(2, 6 * 60))
    assert many > left() > 0
    await shop.hear(confirmed(3, 6 * 60 + 1))
    assert 0 == left()


async def test_nothing_is_written_for_what_does_not_count() -> None:
    shop = Analytics()
    await shop.hear(confirmed(1))
    written = len(shop.table.writes)
    await shop.hear(
        confirmed(1), CancellationRequested(order_id=fields(1)["order_id"], reason="TIMEOUT")
    )
    assert written == len(shop.table.writes)


def broken(**changes: Any) -> Any:
    return record(confirmed(1), 0, **changes)


def with_other(field: bytes, content: bytes) -> Any:
    """The record with `content` where its value has `field`."""
    value = broken().value
    assert field in value
    return broken(value=value.replace(field, content))


@pytest.mark.parametrize(
    "bad",
    [
        {"value": b"not JSON"},
        {"value": None},
        {"value": b"[]"},
        {"value": b'{"orderId": "x"}'},
        {"key": b"another"},
        {"headers": ()},
        {"headers": (("ce_type", b"NoSuchEvent"),)},
    ],
    ids=["text", "nothing", "a list", "half", "another key", "no headers", "unknown"],
)
def test_what_is_no_event_of_the_topic_is_undecodable(bad: dict[str, Any]) -> None:
    with pytest.raises(UndecodableError):
        decode(broken(**bad))


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        (b'"total":2.5', b'"total":"2.5"'),
        (b'"total":2.5', b'"total":-2.5'),
        (b'"total":2.5', b'"total":null'),
        (b"2026-03-01T12:00:00Z", b"2026-03-01T12:00:00"),
        (b"2026-03-01T12:00:00Z", b"yesterday"),
        (b'"userId":"alice"', b'"userId":""'),
    ],
)
def test_a_field_that_is_not_as_it_must_be_is_undecodable(field: bytes, bad: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode(with_other(field, bad))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        (b"2026-03-01T12:00:00Z", 0),
        (b"2026-03-01T13:00:00.250+01:00", 250),
        (b"2026-03-01T11:59:59.999999Z", -1),
        (b"1969-12-31T23:59:59.999Z", -NOON_SECONDS * 1000 - 1),
    ],
)
def test_an_order_s_time_is_in_whole_milliseconds_and_never_beyond_what_it_says(
    text: bytes, milliseconds: int
) -> None:
    _, _, _, at, _, _ = decode(with_other(b"2026-03-01T12:00:00Z", text))

    assert milliseconds == at - NOON_SECONDS * 1000


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        (b'"quantity":2', b'"quantity":0.5'),
        (b'"country":"France"', b'"country":7'),
        (b'"items":[{', b'"items":"abc","rest":[{'),
        (b'"total":2.5', b'"total":1e20'),
    ],
    ids=["quantity", "country", "items", "total"],
)
async def test_what_can_not_be_added_up_is_undecodable_and_the_rest_counts(
    field: bytes, bad: bytes
) -> None:
    shop = Analytics()
    poison = shop.service.decode(with_other(field, bad))
    good = shop.service.decode(record(confirmed(2), 1))
    with pytest.raises(UndecodableError):
        await shop.service.handle([poison, good])
    with pytest.raises(UndecodableError):
        await shop.service.handle([poison])

    await shop.service.handle([good])

    assert (1, 250) == (shop.totals.sums.confirmed, shop.totals.sums.revenue)


def test_a_chunk_is_decoded_as_its_records_are() -> None:
    asked = CancellationRequested(order_id=fields(3)["order_id"], reason="TIMEOUT")
    events = [OrderPlaced(**fields(1)), confirmed(1), confirmed(2), asked]
    records = [record(event, offset) for offset, event in enumerate(events)]
    assert [decode(each) for each in records] == decode_all(records)


@pytest.mark.parametrize(
    "values",
    [(b"[1", b"2]"), (b"1,2", b"[3", b"4]"), (b"not JSON", b"{}"), (None, b"{}"), (b"{}", b"[]")],
)
def test_values_that_are_json_only_together_are_undecodable(values: tuple[Any, ...]) -> None:
    records = [record(confirmed(n), n, value=value) for n, value in enumerate(values)]
    with pytest.raises(UndecodableError):
        decode_all(records)


def test_other_events_of_the_topic_are_passed_over() -> None:
    asked = CancellationRequested(order_id=fields(1)["order_id"], reason="TIMEOUT")
    passed_over = record(asked, 7)
    assert (passed_over, Kind.OTHER) == decode(passed_over)[:2]


@pytest.mark.parametrize(
    "retention", [{60: HOUR}, {60: 4 * HOUR, 90: 4 * HOUR}], ids=["too short", "no multiple"]
)
def test_a_plan_that_can_not_be_kept_is_refused(retention: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="window"):
        Plan(retention, (By.NONE,), HOUR, 60, 1000)


def chunks_of(events: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [events[at : at + size] for at in range(0, len(events), size)]


@pytest.mark.parametrize("size", [1, 7, 60])
async def test_the_same_records_in_any_chunks_give_the_same_windows(size: int) -> None:
    events = [confirmed(n, n * 17 % 240, user_id=f"u{n % 5}") for n in range(60)]
    whole, parts = Analytics(), Analytics()
    await whole.hear(*events)
    for chunk in chunks_of(events, size):
        await parts.hear(*chunk)
    windows = [k for k in whole.table.partitions[0] if k.startswith(b"w")]
    assert windows
    for key in windows:
        if key[keys.BY_AT] != By.NONE:
            one, other = whole.value(key), parts.value(key)
            assert one is not None
            assert other is not None
            assert one[8:] == other[8:]
    assert whole.totals.late == parts.totals.late
    assert whole.progress == parts.progress
