"""Windows of real orders equal a recomputation from the ledger's file, to the penny, whatever
happens to the workers: kills, moves, freezes, emptied folders, repetitions, late deliveries."""

import asyncio
import csv
import lzma
import os
import random
import shutil
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import rocksdict
from aiokafka import AIOKafkaProducer
from faust.stores.rocksdb import Store

from app import retail
from app.codec import Encoded, encode
from app.events import Event, Item, OrderConfirmed
from app.tables import keys
from app.tables.keys import By
from app.tables.tally import Sums
from app.topics import ORDER, ORDER_WINDOWS
from infra.local.testing import LocalServers, make_topics
from tests.kafka import PARTITIONS, eventually, lag, read_all
from tests.shop import ROOT, Shop, post_all

pytestmark = pytest.mark.timeout(400)

GROUP = "orders-analytics"
SIZES = (60, 3600, 86_400)
ENV = {
    "SERVICES": "analytics",
    "SESSION_TIMEOUT_SECONDS": "6",
    # No gateway is to be told that a worker stops.
    "SHUTDOWN_DELAY_SECONDS": "0",
    # As long as the whole ledger: the test compares every minute of it.
    "ANALYTICS_MINUTES_KEPT_SECONDS": "200000000",
    "ANALYTICS_REPORT_SECONDS": "600",
}
REAL_ORDERS, REAL_REVENUE = 19_960, 1_066_668_454
PAGE = 10_000
FAR = 1 << 40
# In a run with kills they come so often, and the log is written for long enough that they meet
# work in flight.
KILL_SECONDS = 5.0
KILLS = 4
PUBLISH_SECONDS = 40.0
PUBLISH_SLICES = 400
LATE_SHARE, LATE_MOST = 0.05, timedelta(minutes=90)
AGAIN_SHARE = 0.05
SHORT_GRACE_SECONDS = 3600
TOOL_SECONDS = 60
SECONDS = 120
# `ORDERS=19960` sends all through the saga.
SAGA_ORDERS = int(os.environ.get("ORDERS", "1000"))
SAGA_SECONDS = 60 + SAGA_ORDERS / 10
# For their ends, for all groups to come to rest, and for all that is before and after.
SAGA_TEST_SECONDS = 2 * SAGA_SECONDS + 300


def penny(amount: Any) -> int:
    return int((Decimal(str(amount)) * 100).to_integral_value(ROUND_HALF_EVEN))


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Sold:
    """An order as the file has it: lines of product, quantity and price in pence."""

    at: datetime
    country: str
    user: str
    lines: list[tuple[str, int, int]] = field(default_factory=list)
    status: str = "confirmed"
    # Sizes of the windows that it came too late for.
    late: frozenset[int] = frozenset()


Cells = dict[tuple[str, str | None], tuple[int, int, int, int]]
"""By start and key: orders, confirmed ones, cancelled ones, and revenue in pence."""


@dataclass
class Ledger:
    """The orders, and what windows they make: plain sums, nothing of the app's."""

    orders: list[Sold]

    def cells(self, size: int, by: str) -> Cells:
        found: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for sold in self.orders:
            if size in sold.late:
                continue
            second = int(sold.at.timestamp())
            start = iso(datetime.fromtimestamp(second - second % size, UTC))
            parts: dict[str | None, int] = defaultdict(int)
            for product, quantity, price in sold.lines:
                key = {"none": None, "country": sold.country, "product": product}[by]
                parts[key] += quantity * price
            confirmed = int(sold.status == "confirmed")
            for key, revenue in parts.items():
                cell = found[start, key]
                cell[0] += 1
                cell[1] += confirmed
                cell[2] += 1 - confirmed
                cell[3] += confirmed * revenue
        return {at: (n, yes, no, revenue) for at, (n, yes, no, revenue) in found.items()}

    def top(self, metric: str, start: str, n: int) -> list[tuple[str, int]]:
        sums: Counter[str] = Counter()
        for sold in self.orders:
            if sold.at.strftime("%Y-%m-%dT00:00:00Z") == start and sold.status == "confirmed":
                for product, quantity, price in sold.lines:
                    sums[product] += quantity * (price if metric == "revenue" else 1)
        return sorted(sums.items(), key=lambda each: (-each[1], each[0]))[:n]

    def late(self) -> dict[str, int]:
        counts = Counter(size for sold in self.orders for size in sold.late)
        return {str(size): counts[size] for size in sorted(counts)}


def read_ledger(path: Path) -> Ledger:
    """The sales of the file: neither returns, nor what was given away or corrected."""
    opened: Callable[..., Any] = lzma.open if path.suffix == ".xz" else open
    invoices: dict[str, Sold] = {}
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
            if row["InvoiceNo"].startswith("C") or quantity <= 0 or price <= 0:
                continue
            sold = invoices.get(row["InvoiceNo"])
            if sold is None:
                at = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
                sold = invoices[row["InvoiceNo"]] = Sold(at, row["Country"], row["CustomerID"])
            sold.lines.append((row["StockCode"], quantity, penny(price)))
    return Ledger(list(invoices.values()))


def generated(path: Path) -> Path:
    """A year of orders in a file of the same shape, where the real one is not at hand."""
    chance = random.Random(7)
    first = datetime.fromisoformat("2010-12-01T08:00:00")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(retail.COLUMNS)
        for n in range(REAL_ORDERS):
            at = first + timedelta(minutes=n * 525_600 // REAL_ORDERS)
            name = f"{'C' if chance.random() < 0.02 else ''}{536_365 + n}"
            country, user = f"Country {chance.randrange(38)}", str(chance.randrange(4000))
            for _ in range(chance.randint(1, 12)):
                quantity = chance.choice((1, 2, 6, 12, 100, -1))
                price = f"{chance.randint(0, 2000) / 100:.2f}"
                product = f"{chance.randrange(3500)}"
                writer.writerow((name, product, quantity, at, price, user, country))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if retail.DEFAULT_CSV.exists():
        return retail.DEFAULT_CSV
    return generated(tmp_path_factory.mktemp("ledger") / "orders.csv")


@pytest.fixture
def ledger(file: Path) -> Ledger:
    return read_ledger(file)


@pytest.fixture(scope="module")
def confirmed(file: Path) -> list[tuple[datetime, Encoded]]:
    """Each sale as the event that its saga ends with."""
    return [
        (
            sale.placed_at,
            event(
                sale.invoice,
                sale.placed_at,
                sale.country,
                sale.user_id,
                [(line.product_id, line.quantity, line.price) for line in sale.lines],
            ),
        )
        for sale in retail.read_sales(file)
    ]


def event(
    name: str, at: datetime, country: str, user: str, lines: Iterable[tuple[str, int, int]]
) -> Encoded:
    lines = list(lines)
    data = OrderConfirmed.model_construct(
        order_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        user_id=user or retail.GUEST,
        items=tuple(
            Item.model_construct(product_id=product, quantity=quantity, price=price)
            for product, quantity, price in lines
        ),
        total=sum(quantity * price for _, quantity, price in lines),
        country=country,
        placed_at=at,
    )
    return encode(Event.first(data, source="test", at="2026-01-01T00:00:00.000000Z"))


@asynccontextmanager
async def publishing(shop: Shop) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=shop.servers.kafka, acks="all", linger_ms=5, max_batch_size=200_000
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish(
    shop: Shop,
    events: Sequence[Encoded],
    *,
    slices: int = 1,
    seconds: float = 0.0,
    last: asyncio.Event | None = None,
) -> list[int]:
    """Send in order, each to the partition that its key chooses; which these were.

    The last slice is sent when `last` is set: on a machine of any speed not all is there before.
    """
    deliveries = []
    size = -(-len(events) // slices)
    async with publishing(shop) as producer:
        for at in range(0, len(events), size):
            if last is not None and at + size >= len(events):
                await last.wait()
            deliveries += [
                await producer.send(
                    each.topic, key=each.key, value=each.value, headers=each.headers
                )
                for each in events[at : at + size]
            ]
            await asyncio.sleep(seconds / slices)  # the rate of the load
        return [metadata.partition for metadata in await asyncio.gather(*deliveries)]


async def ask(session: aiohttp.ClientSession, url: str) -> Any:
    """The answer; while partitions move there is none."""

    async def answer() -> Any:
        try:
            async with session.get(url) as response:
                assert response.status in (200, 503), await response.text()
                return await response.json() if response.status == 200 else None
        except (aiohttp.ClientConnectionError, TimeoutError):
            return None

    return await eventually(answer, SECONDS, f"an answer at {url}")


async def windows(
    session: aiohttp.ClientSession, url: str, size: int, by: str, until: str = "2100-01-01"
) -> Cells:
    """All windows, page by page."""
    found: Cells = {}
    start, key = "2000-01-01", None
    while start is not None:
        query = f"size={size}&by={by}&limit={PAGE}&from={start}&to={until}"
        query += f"&fromKey={key}" if key else ""
        answer = await ask(session, f"{url}/analytics/windows?{query}")
        assert {"covered": PARTITIONS, "total": PARTITIONS} == answer["partitions"]
        for window in answer["windows"]:
            cell = window["start"], window.get("key")
            assert cell not in found
            revenue = penny(window["revenue"])
            found[cell] = window["orders"], window["confirmed"], window["cancelled"], revenue
        start, key = answer.get("next"), answer.get("nextKey")
    return found


EVERYTHING = [(size, by) for size in SIZES for by in ("none", "country")]


def stored(shop: Shop, workers: Iterable[str], size: int) -> Cells:
    """The windows by product that lie in the tables of workers that have stopped: a million cells
    in all, too many for pages."""
    found: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    start, end = (keys.window(size, By.PRODUCT, at) for at in (0, FAR))
    for partition in range(PARTITIONS):
        # Whoever had the partition once keeps what it knew.
        newest = max(
            (table for name in workers for table in opened(shop, name, partition)),
            key=lambda table: int(table.get(Store.offset_key) or -1),
        )
        for key, value in newest.items(from_key=start):
            if key >= end:
                break
            at, product = keys.parse_window(key)
            sums = Sums.decode(value)
            cell = found[iso(datetime.fromtimestamp(at, UTC)), product]
            cell[0] += sums.orders
            cell[1] += sums.confirmed
            cell[2] += sums.cancelled
            cell[3] += sums.revenue
    return {at: (n, yes, no, revenue) for at, (n, yes, no, revenue) in found.items()}


def opened(shop: Shop, worker: str, partition: int) -> list[Any]:
    """The table's partition of a worker, if it ever had it."""
    folder = shop.servers.directory / "data" / worker / "analytics" / "v1" / "tables"
    return [
        rocksdict.Rdict(
            str(path),
            rocksdict.Options(raw_mode=True),
            access_type=rocksdict.AccessType.read_only(),
        )
        for path in folder.glob(f"{ORDER_WINDOWS.name}-{partition}.db")
    ]


def same(expected: Cells, found: Cells) -> None:
    wrong = [at for at in expected.keys() | found.keys() if expected.get(at) != found.get(at)]
    assert not wrong, (
        f"{len(wrong)} of {len(expected)} differ, such as {wrong[0]}: "
        f"{expected.get(wrong[0])} is answered as {found.get(wrong[0])}"
    )


async def equal(
    url: str,
    ledger: Ledger,
    cells: Sequence[tuple[int, str]] = EVERYTHING,
    products: Sequence[int] = (86_400,),
) -> None:
    """What the worker answers is what the ledger says: windows by product for three days."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        answer = await ask(session, f"{url}/analytics")
        done = [sold for sold in ledger.orders if sold.status == "confirmed"]
        revenue = sum(q * price for sold in done for _, q, price in sold.lines)
        assert revenue == penny(answer["revenue"])
        assert len(ledger.orders) == answer["orders"]
        assert len(done) == answer["confirmed"]
        assert len(ledger.orders) - len(done) == answer["cancelled"]
        assert ledger.late() == answer["lateEvents"]
        for size, by in cells:
            same(ledger.cells(size, by), await windows(session, url, size, by))
        days = sorted({start for start, _ in ledger.cells(86_400, "none")})
        part = Ledger([sold for sold in ledger.orders if iso(sold.at)[:10] <= days[2][:10]])
        for size in products:
            found = await windows(session, url, size, "product", until=days[3])
            same(part.cells(size, "product"), found)
        for start in days[:: max(1, len(days) // 5)]:
            for metric in ("revenue", "quantity"):
                top = await ask(
                    session, f"{url}/analytics/top?metric={metric}&size=86400&at={start}&n=7"
                )
                measure = penny if metric == "revenue" else int
                assert ledger.top(metric, start, 7) == [
                    (each["productId"], measure(each[metric])) for each in top["products"]
                ]


async def all_counted(shop: Shop) -> None:
    async def no_lag() -> bool:
        return await lag(shop.servers.kafka, GROUP, [ORDER.name]) == 0

    await eventually(no_lag, SECONDS, "everything is counted", every=0.5)


async def begin_again(shop: Shop, records: int) -> None:
    """Set the group back to the beginning of the log, with Kafka's own tool."""

    async def is_reset() -> bool:
        # Refused until the broker has forgotten the members.
        await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-m", "infra.local", "kafka-tool", "consumer-groups"),
                *("--bootstrap-server", shop.servers.kafka, "--group", GROUP),
                *("--topic", ORDER.name, "--reset-offsets", "--to-earliest", "--execute"),
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            timeout=TOOL_SECONDS,
            check=False,
        )
        return await lag(shop.servers.kafka, GROUP, [ORDER.name]) == records

    await eventually(is_reset, SECONDS, "the offsets are reset", every=1.0)


@asynccontextmanager
async def analytics(directory: Path) -> AsyncIterator[Shop]:
    with LocalServers(directory) as servers:
        make_topics(servers)
        shop = Shop(servers, env=ENV)
        try:
            yield shop
        finally:
            shop.stop()


@pytest.fixture(scope="module")
def counted(
    tmp_path_factory: pytest.TempPathFactory, confirmed: list[tuple[datetime, Encoded]]
) -> Iterator[Shop]:
    """Servers with the whole ledger in the log, and two workers."""
    with LocalServers(tmp_path_factory.mktemp("windows")) as servers:
        make_topics(servers)
        shop = Shop(servers, env=ENV)
        try:
            shop.start("worker-1", "worker-2", gateway=False)
            asyncio.run(publish(shop, [each for _, each in confirmed]))
            yield shop
        finally:
            shop.stop()


async def test_windows_of_all_real_orders_equal_a_recomputation_to_the_penny(
    counted: Shop, ledger: Ledger
) -> None:
    if retail.DEFAULT_CSV.exists():
        assert REAL_ORDERS == len(ledger.orders)
        assert REAL_REVENUE == sum(q * p for sold in ledger.orders for _, q, p in sold.lines)
    await all_counted(counted)
    await equal(counted.workers["worker-1"].url, ledger, EVERYTHING, products=SIZES)
    await equal(counted.workers["worker-2"].url, ledger, [(86_400, "country")])
    for worker in counted.workers.values():
        assert worker.terminate()
    for size in SIZES:
        same(ledger.cells(size, "product"), stored(counted, counted.workers, size))
    counted.start(*counted.workers, gateway=False)


async def test_the_log_from_its_beginning_and_an_emptied_folder_change_nothing(
    counted: Shop, ledger: Ledger
) -> None:
    await all_counted(counted)
    for worker in counted.workers.values():
        assert worker.terminate()
    await begin_again(counted, len(ledger.orders))
    shutil.rmtree(counted.servers.directory / "data" / "worker-1")
    (counted.servers.directory / "data" / "worker-1").mkdir()
    for worker in counted.workers.values():
        worker.start()
    for worker in counted.workers.values():
        worker.wait_ready()
    await all_counted(counted)
    await equal(counted.workers["worker-1"].url, ledger, [(3600, "none")])


async def test_what_comes_after_the_grace_is_in_the_totals_and_counted_apart(
    counted: Shop, ledger: Ledger, confirmed: list[tuple[datetime, Encoded]]
) -> None:
    await all_counted(counted)
    for name in ("worker-1", "worker-2"):
        counted.workers[name].terminate()
    # Nothing but event time passes, so the watermark of each partition is its newest order's.
    partitions = await partitions_of(counted)
    watermarks: dict[int, datetime] = {}
    for at, each in confirmed:
        partition = partitions[each.key]
        watermarks[partition] = max(at, watermarks.get(partition, at))
    newest = max(watermarks.values())
    ages = [timedelta(minutes=10 * n) for n in range(60)]
    ages += [timedelta(days=5 * n) for n in range(1, 40)]
    late = [
        Sold(newest - age, "France", "u1", [("late", 2, 125 + n)]) for n, age in enumerate(ages)
    ]
    events = [
        event(f"late {n}", sold.at, sold.country, sold.user, sold.lines)
        for n, sold in enumerate(late)
    ]
    counted.start("worker-1", gateway=False, ANALYTICS_GRACE_SECONDS=str(SHORT_GRACE_SECONDS))
    grace = timedelta(seconds=SHORT_GRACE_SECONDS)
    for sold, partition in zip(late, await publish(counted, events), strict=True):
        second = int(sold.at.timestamp())
        sold.late = frozenset(
            size
            for size in SIZES
            if datetime.fromtimestamp(second - second % size + size, UTC) + grace
            <= watermarks[partition]
        )
        watermarks[partition] = max(sold.at, watermarks[partition])
    await all_counted(counted)
    ledger.orders += late
    assert set(SIZES) == set(map(int, ledger.late()))
    assert len(late) > ledger.late()["60"] > ledger.late()["86400"] > 0
    cells = [(60, "none"), (3600, "country"), (86_400, "none")]
    await equal(counted.workers["worker-1"].url, ledger, cells)


async def partitions_of(shop: Shop) -> dict[bytes, int]:
    return {each.key: each.partition for each in await read_all(shop.servers.kafka, ORDER.name)}


def disturbed(confirmed: list[tuple[datetime, Encoded]], seed: int) -> list[Encoded]:
    """The log with some delivered up to 90 minutes late, and some sent again anywhere later."""
    chance = random.Random(seed)
    arrivals = []
    for at, each in confirmed:
        late = LATE_MOST * chance.random() if chance.random() < LATE_SHARE else timedelta()
        arrivals.append((at + late, each))
    arrivals.sort(key=lambda arrival: arrival[0])
    # Positions of the log at which each is to be found, so that a copy comes after its original.
    placed: list[tuple[float, Encoded]] = []
    for position, (_, each) in enumerate(arrivals):
        placed.append((float(position), each))
        if chance.random() < AGAIN_SHARE:
            placed.append((chance.uniform(position, len(arrivals)), each))
    placed.sort(key=lambda each: each[0])
    return [each for _, each in placed]


@pytest.mark.chaos
async def test_windows_are_exact_with_workers_killed_added_removed_and_frozen(
    tmp_path: Path, ledger: Ledger, confirmed: list[tuple[datetime, Encoded]]
) -> None:
    """One worker, three, one again; one killed every few seconds; one frozen until it has lost its
    partitions, which it goes on writing to before it learns; it then gets all of them."""
    events = disturbed(confirmed, seed=11)
    assert len(events) > len(confirmed) * (1 + AGAIN_SHARE / 2)
    chance = random.Random(3)
    async with analytics(tmp_path) as shop:
        shop.start("worker-1", gateway=False)
        over = asyncio.Event()
        log = asyncio.create_task(
            publish(shop, events, slices=PUBLISH_SLICES, seconds=PUBLISH_SECONDS, last=over)
        )
        await asyncio.wait([log], timeout=KILL_SECONDS)
        await asyncio.to_thread(shop.start, "worker-2", "worker-3", gateway=False)
        for _ in range(KILLS):
            victim = chance.choice(("worker-1", "worker-2", "worker-3"))
            shop.workers[victim].kill9()
            shop.restart(victim)
            await asyncio.wait([log], timeout=KILL_SECONDS)
        assert not log.done()
        over.set()
        for worker in shop.workers.values():
            await asyncio.to_thread(worker.wait_ready)
        shop.workers["worker-2"].pause()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            # No answer is complete before its partitions are another's.
            await ask(session, f"{shop.workers['worker-1'].url}/analytics")
        shop.workers["worker-2"].resume()
        assert shop.workers["worker-3"].terminate()
        assert shop.workers["worker-1"].terminate()
        await log
        await all_counted(shop)
        assert shop.workers["worker-2"].alive()
        await equal(shop.workers["worker-2"].url, ledger, products=SIZES)

        # One that was away takes everything over, from what it knew then.
        shop.restart("worker-1")
        await asyncio.to_thread(shop.workers["worker-1"].wait_ready)
        assert shop.workers["worker-2"].terminate()
        await equal(shop.workers["worker-1"].url, ledger, [(3600, "none")])
        assert shop.workers["worker-1"].terminate()
        for size in SIZES:
            same(ledger.cells(size, "product"), stored(shop, ["worker-1"], size))


@pytest.mark.timeout(SAGA_TEST_SECONDS)
async def test_windows_of_real_orders_through_the_whole_saga_equal_the_orders_that_are_stored(
    shop: Shop, file: Path
) -> None:
    sales = [sale for sale, _ in zip(retail.read_sales(file), range(SAGA_ORDERS), strict=False)]
    wanted: Counter[str] = Counter()
    for sale in sales:
        for line in sale.lines:
            wanted[line.product_id] += line.quantity
    # Not enough for everybody.
    await shop.stock({product: max(1, units * 19 // 20) for product, units in wanted.items()})
    ids = await post_all(
        shop.url,
        [
            {
                "userId": sale.user_id,
                "country": sale.country,
                "placedAt": sale.placed_at.isoformat(),
                "items": [
                    {"productId": line.product_id, "quantity": line.quantity}
                    | {"price": line.price / 100}
                    for line in sale.lines
                ],
            }
            for sale in sales
        ],
    )
    await shop.all_end(ids, SAGA_SECONDS)
    await shop.at_rest(SAGA_SECONDS)
    with shop.database() as database:
        stored = [each async for each in database.orders.find({})]
    ledger = Ledger([as_sold(each) for each in stored])
    assert len(sales) == len(ledger.orders)
    assert {"confirmed", "cancelled"} == {sold.status for sold in ledger.orders}
    for worker in shop.workers.values():
        await equal(worker.url, ledger)
    async with aiohttp.ClientSession() as session:
        answer = await ask(session, f"{shop.url}/analytics")
    assert Counter(e["reason"] for e in stored if e["reason"]) == answer["cancelledBy"]


def as_sold(stored: dict[str, Any]) -> Sold:
    placed = stored["placedAt"]
    at = datetime.fromisoformat(placed) if isinstance(placed, str) else placed
    return Sold(
        at if at.tzinfo else at.replace(tzinfo=UTC),
        stored["country"],
        stored["userId"],
        [(product, quantity, price) for product, quantity, price in stored["items"]],
        stored["status"].lower(),
    )
