"""What a partition remembers: as much as its horizon and its retention, however long the log is."""

import asyncio
import tracemalloc
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.analytics import AnalyticsService, order_windows
from app.events import Item, OrderCancelled, OrderConfirmed, OrderPlaced
from app.tables import keys
from app.tables.folding import DELETES_MAX, Plan
from app.tables.keys import By
from app.tables.ledger import NEVER, PAGE_RECORDS, Ledger, Progress, Seen, paged
from app.tables.tally import Summary
from app.topics import ORDER
from tests.tables import MemoryTable, record

HORIZON, CHUNK = 1000, 100
MINUTE, HOUR, DAY = 60, 3600, 86_400
GRACE = 120
RETENTION = {MINUTE: 10 * MINUTE, HOUR: 3 * HOUR, DAY: 2 * DAY}
PLAN = Plan(RETENTION, (By.NONE, By.COUNTRY, By.PRODUCT), GRACE, 0, HORIZON)
START = 1_767_225_600  # 2026-01-01T00:00:00Z


def ident(number: int) -> bytes:
    return number.to_bytes(16, "big")


def counted(first: int, size: int = CHUNK) -> list[Seen]:
    """What so many records counted: every other began something, and the rest ended something."""
    return [(n, ident(n), NEVER if n % 2 else n) for n in range(first, first + size)]


def fed(records: int, chunk: int = CHUNK) -> Ledger:
    ledger = Ledger(Progress(), (), HORIZON)
    for first in range(0, records, chunk):
        ledger.advance(Progress(first + chunk), counted(first, chunk))
    return ledger


@pytest.mark.parametrize("chunk", [1, 100, 500])
def test_a_ledger_remembers_its_horizon_and_no_more_however_long_the_log(chunk: int) -> None:
    for records in (HORIZON, 10 * HORIZON, 50 * HORIZON):
        ledger = fed(records, chunk)
        assert HORIZON <= len(ledger.opened) + len(ledger.ended) < HORIZON + PAGE_RECORDS
        assert ident(records - 1) in ledger.ended
        assert ident(records - HORIZON) in ledger.opened
        assert len(ledger._pages) <= HORIZON // PAGE_RECORDS + 2


@pytest.mark.parametrize("chunk", [1, 100])
def test_a_ledgers_memory_does_not_grow_with_the_log(chunk: int) -> None:
    def after(records: int) -> int:
        tracemalloc.start()
        try:
            ledger = fed(records, chunk)
            used, _ = tracemalloc.get_traced_memory()
            assert ledger.progress.offset == records
            return used
        finally:
            tracemalloc.stop()

    assert after(60 * HORIZON) < 1.2 * after(4 * HORIZON)


def test_a_loaded_ledger_knows_what_it_knew_whether_old_pages_are_deleted_or_not() -> None:
    """Else a write that was cut short after its deletions would be decided otherwise again."""
    records = 3 * HORIZON
    running = fed(records)
    oldest = (records - HORIZON) // PAGE_RECORDS
    for deleted in (0, 5, oldest):
        seen = counted(deleted * PAGE_RECORDS, records - deleted * PAGE_RECORDS)
        loaded = Ledger(Progress(records), seen, HORIZON)
        assert (running.opened, running.ended) == (loaded.opened, loaded.ended)
        assert list(range(deleted, oldest)) == loaded.forgotten


def test_pages_are_the_same_however_the_log_is_cut_into_chunks() -> None:
    stored = []
    for chunk in (1, 100, 300):
        ledger, found = Ledger(Progress(), (), HORIZON), {}
        for first in range(0, 600, chunk):
            seen = counted(first, chunk)
            found |= ledger.pages(600, seen)
            ledger.advance(Progress(first + chunk), seen)
        stored.append(found)
    assert stored[0] == stored[1] == stored[2]


def test_what_a_write_that_was_cut_short_counted_is_not_known() -> None:
    ledger = Ledger(Progress(150), counted(0, 400), HORIZON)
    assert 150 == len(ledger.opened) + len(ledger.ended)
    again = ledger.pages(200, counted(150, 50))
    assert counted(128, 72) == list(paged(1, again[1]))


def confirmed(number: int, second: int, products: int = 1) -> OrderConfirmed:
    items = tuple(Item(product_id=f"p{number}-{n}", quantity=1, price=1) for n in range(products))
    return OrderConfirmed(
        order_id=str(uuid.UUID(int=number, version=4)),
        user_id="u",
        items=items,
        total=products / 100,
        country="c",
        placed_at=datetime.fromtimestamp(second, UTC),
    )


class Running:
    """A service, its table, and a log that only goes on."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.table = MemoryTable()
        self.plan = plan
        self.service = AnalyticsService([order_windows(plan)])
        self.service.tables[ORDER.name] = self.table
        self.offset = 0

    def hear(self, *events: OrderConfirmed | OrderPlaced | OrderCancelled) -> None:
        records = [
            record(event, self.offset + n, arrived=round(event.placed_at.timestamp() * 1000))
            for n, event in enumerate(events)
            if isinstance(event, OrderPlaced | OrderConfirmed | OrderCancelled)
        ]
        self.offset += len(events)
        asyncio.run(self.service.handle([self.service.decode(each) for each in records]))

    def starts(self, size: int, by: By) -> list[int]:
        found = self.table.scan(0, keys.window(size, by, 0), keys.window(size, by, 1 << 40))
        return [keys.parse_window(key)[0] for key, _ in found]

    @property
    def pages(self) -> int:
        return sum(1 for _ in self.table.scan(0, keys.seen(0), keys.seen(keys.OFFSET_MAX)))


@pytest.mark.parametrize("orders", [3000, 9000])
def test_the_table_holds_pages_of_its_horizon_and_windows_of_their_retention(orders: int) -> None:
    running = Running()
    second = START
    for first in range(0, orders, CHUNK):
        running.hear(*(confirmed(n, START + 10 * n) for n in range(first, first + CHUNK)))
        second = START + 10 * (first + CHUNK - 1)
    # What a write forgets is deleted with the next; the first and the newest page are parts.
    assert running.pages <= HORIZON // PAGE_RECORDS + 3
    for size, kept in RETENTION.items():
        slack = 2 * size + CHUNK * 10
        for by in PLAN.by:
            assert second - kept - slack <= min(running.starts(size, by))
            assert max(running.starts(size, by)) == second - second % size
    total = Summary.decode(running.table.read(0, [keys.TOTALS])[0] or b"")
    assert orders == total.sums.confirmed


def test_more_windows_than_a_write_may_delete_are_deleted_with_the_next_writes() -> None:
    """Also where they are never fewer than come anew: no backlog grows."""
    running = Running()
    many = DELETES_MAX + DELETES_MAX // 2
    running.hear(confirmed(0, START, products=many))
    later = START + RETENTION[MINUTE] + 10 * MINUTE
    deleted_by = []
    for number in range(1, 4):
        # Within one minute: no window passes that would be the reason to look again.
        running.hear(confirmed(number, later))
        deleted_by.append(running.starts(MINUTE, By.PRODUCT).count(START))
    assert 0 < deleted_by[0] < many
    assert 0 == deleted_by[1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_repetition_within_the_horizon_counts_once_however_writes_are_cut_short(
    data: st.DataObject,
) -> None:
    """Deletions of old pages included: what is decided again must not depend on them."""
    horizon = 40
    patient = Plan({MINUTE: DAY, HOUR: DAY, DAY: 3 * DAY}, (By.NONE,), 4 * HOUR, 0, horizon)
    log: list[OrderConfirmed] = []
    originals: list[int] = []
    for at in range(data.draw(st.integers(150, 260), "records")):
        near = [original for original in originals if original >= at - horizon]
        if near and data.draw(st.booleans(), "again"):
            log.append(log[data.draw(st.sampled_from(near), "which")])
        else:
            originals.append(at)
            log.append(confirmed(at, START + at))
    records = [record(event, offset, arrived=START * 1000) for offset, event in enumerate(log)]

    table, at, cuts = MemoryTable(), 0, 0
    while at < len(records):
        service = AnalyticsService([order_windows(patient)])
        service.tables[ORDER.name] = table
        end = min(len(records), at + data.draw(st.integers(1, 60), "chunk"))
        if cuts < 6 and data.draw(st.booleans(), "crash"):
            cuts += 1
            table.cut = data.draw(st.integers(0, 12), "cut")
        try:
            asyncio.run(service.handle([service.decode(each) for each in records[at:end]]))
        except ConnectionError:
            continue
        table.cut = None
        at = end
    total = Summary.decode(table.read(0, [keys.TOTALS])[0] or b"")
    assert len(originals) == total.sums.confirmed
    days = table.scan(0, keys.window(DAY, By.NONE, 0), keys.window(DAY, By.NONE, 1 << 40))
    assert len(originals) == sum(Summary.decode(value).sums.confirmed for _, value in days)
