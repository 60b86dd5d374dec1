"""Analytics over three workers, of which one runs none: any answers, and none answers wrongly."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from app.cli.console import UNREACHABLE
from app.topics import TABLES
from app.web.analytics.parts import PATH as PARTS
from app.web.analytics.parts import TOKEN_HEADER, decode
from infra.local.ports import free_ports
from infra.local.testing import LocalServers, WorkerProcess, start_worker
from tests.kafka import PARTITIONS, eventually
from tests.shop import Shop, order, post_all

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]

ORDERS = 300
MORE = 24
WAITING = 4
END_SECONDS = 150
SECONDS = 120
TOKEN = "a-cluster's"
FIRST = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
COUNTRIES = ("France", "Norway", "Spain")
PRODUCTS = 8
PROCESSES = {
    "worker-1": "inventory,analytics",
    "worker-2": "payment,analytics",
    "worker-3": "order",
}
DAY = 86_400
ASKED = (
    "/analytics",
    "/analytics/windows?size=86400",
    "/analytics/windows?size=3600&by=country&from=2026-01-05",
    "/analytics/windows?size=86400&by=product&limit=5000",
    "/analytics/top?n=5",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("analytics")) as servers:
        env = {
            "PAYMENT_FAILURE_RATE": "0.2",
            "SESSION_TIMEOUT_SECONDS": "6",
            "CLUSTER_TOKEN": TOKEN,
            "ANALYTICS_REPORT_SECONDS": "1",
        }
        shop = Shop(servers, env=env)
        try:
            for name, services in PROCESSES.items():
                shop.workers[name] = start_worker(
                    servers, name, env=env | {"SERVICES": services}, wait=False
                )
            for worker in shop.workers.values():
                worker.wait_ready()
            shop.start()  # the gateway in front of all of them
            yield shop
        finally:
            shop.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


def bodies() -> list[dict[str, Any]]:
    """Orders of three days, in three countries."""
    found = []
    for n in range(ORDERS):
        at = FIRST + timedelta(minutes=n * 13)
        body = order((f"p{n % PRODUCTS}", 1 + n % 3), (f"p{(n * 5 + 1) % PRODUCTS}", 1))
        body |= {"placedAt": at.isoformat(), "userId": f"u{n % 40}"}
        found.append(body | {"country": COUNTRIES[n % len(COUNTRIES)]})
    return found


class Books:
    """What the orders collection says, by plain sums."""

    def __init__(self, orders: list[dict[str, Any]]) -> None:
        self.orders = orders

    def sums(self, size: int, by: str = "none") -> dict[tuple[int, str], Counter[str]]:
        found: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        for each in self.orders:
            placed = each["placedAt"]
            at = datetime.fromisoformat(placed) if isinstance(placed, str) else placed
            start = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
            start -= start % size
            lines: dict[str, list[int]] = defaultdict(lambda: [0, 0])
            for product, quantity, price in each["items"]:
                key = {"none": "", "country": each["country"], "product": product}[by]
                lines[key][0] += quantity * price
                lines[key][1] += quantity
            for key, (revenue, units) in lines.items():
                cell = found[start, key]
                cell["orders"] += 1
                cell[each["status"].lower()] += 1
                if each["status"] == "CONFIRMED":
                    cell["revenue"] += revenue
                    cell["units"] += units
        return found

    def total(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for cell in self.sums(DAY).values():
            total.update(cell)
        return total

    def windows(self, size: int, by: str = "none") -> list[tuple[Any, ...]]:
        return [
            (
                at,
                key if by != "none" else None,
                cell["revenue"] / 100,
                cell["orders"],
                cell["confirmed"],
                cell["cancelled"],
                cell["units"],
            )
            for (at, key), cell in sorted(self.sums(size, by).items())
        ]


def told(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            int(datetime.fromisoformat(each["start"]).timestamp()),
            each.get("key"),
            *(each[name] for name in ("revenue", "orders", "confirmed", "cancelled", "units")),
        )
        for each in document["windows"]
    ]


async def get(session: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, Any]]:
    async with session.get(url) as answer:
        document = await answer.json(content_type=None)
        if answer.status == 503:
            assert "Retry-After" in answer.headers
        return answer.status, document


def steady(document: dict[str, Any]) -> dict[str, Any]:
    """Without what goes with the wall clock."""
    return {k: v for k, v in document.items() if k not in ("at", "ordersPerMinute")}


async def behind(session: aiohttp.ClientSession, url: str) -> set[bool]:
    """Whether the partitions that the worker holds are, of any table; most topics are empty."""
    found = set()
    for table in TABLES:
        asked = f"{url}{PARTS}/{table.name}?partitions={','.join(map(str, range(PARTITIONS)))}"
        async with session.get(asked, headers={TOKEN_HEADER: TOKEN}) as answer:
            assert 200 == answer.status
            found |= {part.behind for part in decode(await answer.read())}
    return found


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return {}


async def answers(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    found = {}
    for path in ASKED:
        status, document = await get(session, url + path)
        assert 200 == status, document
        assert {"covered": PARTITIONS, "total": PARTITIONS} == document["partitions"]
        found[path] = steady(document)
    return found


async def test_all_three_workers_and_the_gateway_say_what_the_orders_say(
    shop: Shop, session: aiohttp.ClientSession, expected: dict[str, Any]
) -> None:
    await shop.stock({f"p{n}": 1000 for n in range(1, PRODUCTS)} | {"p0": 20})
    ids = await post_all(shop.url, bodies())
    await shop.all_end(ids, END_SECONDS)
    with shop.database() as database:
        books = Books([each async for each in database.orders.find({})])
    total = books.total()
    assert {ORDERS, total["confirmed"] + total["cancelled"]} == {total["orders"]}
    assert 0 < total["cancelled"] < ORDERS
    urls = [*(worker.url for worker in shop.workers.values()), shop.url]

    async def counted() -> bool:
        status, document = await get(session, urls[2] + "/analytics")
        ended = document.get("confirmed", 0) + document.get("cancelled", 0)
        return status == 200 and ended == ORDERS

    await eventually(counted, SECONDS, "all ends are counted")
    for url in urls[:2]:

        async def finished(url: str = url) -> bool:
            return await behind(session, url) == {False}

        await eventually(finished, SECONDS, "nothing keeps a window from being final")
    expected |= await answers(session, urls[2])
    for url in urls:
        assert expected == await answers(session, url), url

    summary = expected["/analytics"]
    assert total["revenue"] / 100 == summary["revenue"]
    assert (total["orders"], total["confirmed"]) == (summary["orders"], summary["confirmed"])
    assert total["confirmed"] / ORDERS == summary["successRate"]
    assert total["cancelled"] == sum(summary["cancelledBy"].values())
    assert 40 == summary["customers"]
    assert books.windows(DAY) == told(expected[ASKED[1]])
    assert books.windows(3600, "country") == told(expected[ASKED[2]])
    assert books.windows(DAY, "product") == told(expected[ASKED[3]])
    last = max(start for start, _ in books.sums(DAY))
    products = {key: cell for (at, key), cell in books.sums(DAY, "product").items() if at == last}
    ranking = sorted(products, key=lambda key: (-products[key]["revenue"], key))[:5]
    assert ranking == [each["productId"] for each in expected[ASKED[4]]["products"]]


async def test_pages_of_windows_are_the_windows(
    shop: Shop, session: aiohttp.ClientSession, expected: dict[str, Any]
) -> None:
    query = f"{shop.url}/analytics/windows?size=3600&by=country&limit=7&from="
    found, position = [], "2026-01-05"
    while position:
        _, document = await get(session, query + position)
        assert len(document["windows"]) <= 7
        found += document["windows"]
        position = document.get("next", "")
    assert expected[ASKED[2]]["windows"] == found
    _, newest = await get(session, query.removesuffix("&from="))
    assert found[-len(newest["windows"]) :] == newest["windows"]
    _, hopping = await get(session, f"{shop.url}/analytics/windows?size=300&hop=60&limit=10000")
    assert 5 * ORDERS == sum(each["orders"] for each in hopping["windows"])


async def test_the_stream_tells_every_second_through_the_gateway(
    shop: Shop, session: aiohttp.ClientSession, expected: dict[str, Any]
) -> None:
    async with session.get(f"{shop.url}/analytics/stream") as stream:
        assert "text/event-stream" == stream.content_type
        events = []
        async for line in stream.content:
            if line.startswith(b"data: "):
                events.append(json.loads(line.removeprefix(b"data: ")))
            if len(events) == 3:
                break
    assert [expected["/analytics"]] * 3 == [steady(event) for event in events]


async def test_parts_are_for_workers_with_the_token_only(
    shop: Shop, session: aiohttp.ClientSession
) -> None:
    path = "/analytics/parts/order-windows?partitions=0,1,2,3,4,5"
    worker = shop.workers["worker-1"].url
    statuses = []
    for url, headers in (
        (shop.url, {"X-Cluster-Token": TOKEN}),
        (worker, {}),
        (worker, {"X-Cluster-Token": "another"}),
        (worker, {"X-Cluster-Token": TOKEN}),
        (shop.workers["worker-3"].url, {"X-Cluster-Token": TOKEN}),
    ):
        async with session.get(url + path, headers=headers) as answer:
            statuses.append(answer.status)
    assert [404, 401, 403, 200, 409] == statuses


async def test_the_command_shows_it_and_says_when_nobody_answers(shop: Shop) -> None:
    url = shop.workers["worker-3"].url
    done = await asyncio.to_thread(shop.command, "analytics", "--url", url, "--size", "day")
    assert "2026-01-05" in done.stdout
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    failed = await asyncio.to_thread(shop.command, "analytics", "--url", nobody, check=False)
    assert (UNREACHABLE, True) == (failed.returncode, nobody in failed.stderr)


async def test_one_worker_reports_for_all(shop: Shop) -> None:
    def reporting() -> list[str]:
        return [name for name in shop.workers if ORDERS in reports(shop, name)]

    assert 1 == len(await eventually(reporting, SECONDS, "a report is written"))


def reports(shop: Shop, name: str) -> list[int]:
    """How many orders the worker's reports told of."""
    log = shop.servers.directory / "logs" / f"{name}.log"
    lines = (line for line in log.read_text().splitlines() if '"event":"analytics"' in line)
    return [json.loads(line)["analytics"]["orders"] for line in lines]


async def test_while_a_worker_is_dead_no_answer_is_silently_wrong(
    shop: Shop, session: aiohttp.ClientSession, expected: dict[str, Any]
) -> None:
    dead, *alive = (shop.workers[name] for name in ("worker-2", "worker-1", "worker-3"))
    seen: Counter[str] = Counter()
    dead.kill9()

    async def right_again() -> bool:
        rights = 0
        for worker in alive:
            for path in ASKED:
                status, document = await get(session, worker.url + path)
                assert status in (200, 503), document
                if status == 503:
                    seen["unavailable"] += 1
                    continue
                assert expected[path] == steady(document)
                rights += 1
                seen["right"] += 1
            status, document = await get(session, f"{worker.url}/analytics?allow=partial")
            assert status in (200, 503), document
            if document.get("partial"):
                assert 0 < document["partitions"]["covered"] < PARTITIONS
                assert document["orders"] < ORDERS
                seen["partial"] += 1
            elif status == 200:
                assert expected["/analytics"] == steady(document)
        return rights == len(alive) * len(ASKED)

    await eventually(right_again, SECONDS, "the living have taken over", every=0.2)
    assert {"unavailable", "partial", "right"} == set(seen)

    shop.restart("worker-2")
    await asyncio.to_thread(dead.wait_ready)
    alive.append(dead)
    await eventually(right_again, SECONDS, "three answer again", every=0.2)
    print(dict(seen))


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def asked(worker: WorkerProcess) -> Connection:
    """A question that has been sent, to a worker that does not take it yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(b"GET /analytics HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n")
    await writer.drain()
    return reader, writer


async def answered(connection: Connection) -> int:
    """Orders in the answer; 0 where it is 503."""
    reader, writer = connection
    async with asyncio.timeout(SECONDS):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status = int(head.split()[1])
    assert status in (200, 503), head
    return int(json.loads(body)["orders"]) if status == 200 else 0


async def test_a_worker_that_was_frozen_and_lost_its_partitions_tells_nothing_old(
    shop: Shop, session: aiohttp.ClientSession
) -> None:
    frozen, *alive = (shop.workers[name] for name in ("worker-2", "worker-1", "worker-3"))

    async def counted(worker: WorkerProcess) -> int:
        """Orders; 0 while the answer is 503."""
        status, document = await get(session, f"{worker.url}/analytics")
        assert status in (200, 503), document
        return int(document["orders"]) if status == 200 else 0

    async def all_count(expected: int, *workers: WorkerProcess) -> bool:
        return {expected} == {await counted(worker) for worker in workers}

    frozen.pause()
    try:
        await eventually(lambda: all_count(ORDERS, *alive), SECONDS, "others took over")
        await post_all(alive[1].url, bodies()[:MORE])
        await eventually(lambda: all_count(ORDERS + MORE, *alive), SECONDS, "more is counted")
        # The first that it finds when it goes on, before it hears that it has lost anything.
        waiting = [await asked(frozen) for _ in range(WAITING)]
    finally:
        frozen.resume()
    seen: Counter[int] = Counter([await answered(connection) for connection in waiting])

    async def back() -> bool:
        found = await asyncio.gather(*(counted(worker) for worker in (frozen, *alive)))
        seen.update(found)
        return {ORDERS + MORE} == set(found) and frozen.is_ready()

    await eventually(back, SECONDS, "it is back", every=0.05)
    assert {0, ORDERS + MORE} >= set(seen), seen


async def test_a_worker_that_is_stopped_ends_its_streams_and_stops(
    shop: Shop, session: aiohttp.ClientSession
) -> None:
    worker = shop.workers["worker-3"]
    async with session.get(f"{worker.url}/analytics/stream") as stream:
        await stream.content.readline()
        stopping = asyncio.create_task(asyncio.to_thread(worker.terminate))
        async for _ in stream.content:
            pass  # to its end, which is in order
    assert await stopping, "it had to be killed"
