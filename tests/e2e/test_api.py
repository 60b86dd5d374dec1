"""Cancelling, paying, lists, sagas, users, stock by hand, the dashboard: through gateway, two
workers and servers."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from app.saga import INVENTORY_FIRST
from app.settings import Settings
from app.stores.repositories import INDEXES
from infra.local.testing import LocalServers
from tests.kafka import end_offsets, eventually
from tests.metrics import CONTRACT, Figures, scrape
from tests.openapi import Reference, of_gateway
from tests.shop import GROUPS, Shop, order, post, post_all

pytestmark = pytest.mark.timeout(180)
END_SECONDS = 60
CANCELLED = ("CANCELLED", "CANCELLED_BY_USER")
# So long is a payment under way: a busy machine cancels in less.
PAYMENT_SECONDS = 0.5
# By when most orders have ended, and not all.
LONGEST_SECONDS = 3 * PAYMENT_SECONDS
# Of so many orders one is cancelled at once, and one when it has ended: both happen on any machine.
OF_EACH_KIND = 10


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Its payments take a moment, so that a cancellation can come in between."""
    with LocalServers(tmp_path_factory.mktemp("api")) as servers:
        shop = Shop(servers, {"PAYMENT_DELAY_SECONDS": str(PAYMENT_SECONDS)})
        try:
            shop.start("worker-1", "worker-2")
            yield shop
        finally:
            shop.stop()


class Client:
    """What a client of the API does."""

    def __init__(self, shop: Shop, session: aiohttp.ClientSession) -> None:
        self._url = shop.url
        self._session = session

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        async with self._session.request(
            method, self._url + path, json=body, headers=headers
        ) as answer:
            reference = Reference(of_gateway())
            told = await answer.read()
            reference.hold(method, path.partition("?")[0], answer.status, answer.headers, told)
            assert [] == reference.faults
            return answer.status, json.loads(told)

    async def get(self, path: str) -> dict[str, Any]:
        status, answer = await self.ask("GET", path)
        assert 200 == status, answer
        return answer

    async def listed(self, name: str, query: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        found, cursor = [], ""
        while cursor is not None:
            page = await self.get(f"/{name}?{query}&cursor={cursor}")
            found += page[name]
            cursor = page["nextCursor"]
        return found


@pytest.fixture
async def client(shop: Shop) -> Any:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Client(shop, session)


async def test_an_order_cancelled_on_its_way_holds_no_stock_and_no_money(
    shop: Shop, client: Client
) -> None:
    await shop.stock({"lamp": 10})
    (order_id,) = await post_all(shop.url, [order(("lamp", 2))])

    status, ended = await client.ask("POST", f"/orders/{order_id}/cancel", Prefer="wait=30")

    assert (200, *CANCELLED) == (status, ended["status"], ended["reason"])
    saga = await client.get(f"/sagas/{order_id}")
    assert ("ABORTED", "CANCELLED_BY_USER") == (saga["state"], saga["reason"])
    assert {("inventory", "DONE"), ("payment", "DONE")} == {
        (each["step"], each["state"]) for each in saga["compensations"]
    }
    assert saga["startedAt"] < saga["endedAt"]
    lamp = await client.get("/inventory/lamp")
    assert (10, 0, 0) == (lamp["available"], lamp["reserved"], lamp["sold"])
    status, problem = await client.ask("POST", f"/orders/{order_id}/cancel")
    assert (409, "CANCELLED_BY_USER") == (status, problem["reason"])
    status, payment = await client.ask("GET", f"/payments/{order_id}")
    assert status == 404 or payment["status"] == "REFUNDED"


async def test_a_confirmed_order_can_not_be_cancelled(shop: Shop, client: Client) -> None:
    await shop.stock({"vase": 10})
    (order_id,) = await post_all(shop.url, [order(("vase", 1))])
    assert {("CONFIRMED", None)} == set((await shop.all_end([order_id], END_SECONDS)).values())

    status, problem = await client.ask("POST", f"/orders/{order_id}/cancel")

    assert (409, "CONFIRMED") == (status, problem["orderStatus"])
    unknown = "00000000-0000-4000-8000-000000000000"
    assert 404 == (await client.ask("POST", f"/orders/{unknown}/cancel"))[0]


async def test_orders_cancelled_at_any_moment_end_one_way_or_the_other(
    shop: Shop, client: Client
) -> None:
    await shop.stock({"cup": 1000})
    chance = random.Random(17)

    async def place_and_cancel(number: int) -> tuple[str, int]:
        async with aiohttp.ClientSession() as session:
            _, accepted = await post(session, shop.url, order(("cup", chance.randint(1, 3))))
        if number % OF_EACH_KIND == 1:
            await shop.all_end([accepted["orderId"]], END_SECONDS)
        elif number % OF_EACH_KIND:
            await asyncio.sleep(chance.uniform(0, LONGEST_SECONDS))
        path = f"/orders/{accepted['orderId']}/cancel"
        answers = [client.ask("POST", path) for _ in range(chance.randint(1, 2))]
        statuses = {status for status, _ in await asyncio.gather(*answers)}
        assert statuses <= {202, 409}
        return accepted["orderId"], min(statuses)

    asked = dict(await asyncio.gather(*(place_and_cancel(n) for n in range(50))))
    ends = await shop.all_end(asked, END_SECONDS)

    outcomes = Counter(ends.values())
    assert {("CONFIRMED", None), CANCELLED} == set(outcomes), "both happen"
    # What was refused at once was confirmed; what was taken ended one way or the other.
    refused = {order_id for order_id, status in asked.items() if status == 409}
    assert all(ends[order_id] == ("CONFIRMED", None) for order_id in refused)
    await shop.books_balance()
    cup = await client.get("/inventory/cup")
    assert 0 == cup["reserved"]
    assert 1000 == cup["available"] + cup["sold"]
    for order_id, end in ends.items():
        status, payment = await client.ask("GET", f"/payments/{order_id}")
        if end == CANCELLED:
            assert status == 404 or payment["status"] == "REFUNDED"
        else:
            assert (200, "CHARGED") == (status, payment["status"])


async def test_paying_waits_for_the_saga_and_breaks_no_books(shop: Shop, client: Client) -> None:
    await shop.stock({"book": 10, "gone": 0})

    status, paid = await client.ask("POST", "/pay", order(("book", 2)))
    assert (200, "CONFIRMED") == (status, paid["status"])
    payment = await client.get(f"/payments/{paid['orderId']}")
    assert ("CHARGED", payment["amount"]) == (paid["payment"]["status"], paid["payment"]["amount"])
    status, unpaid = await client.ask("POST", "/pay", order(("gone", 1)))
    assert (409, "OUT_OF_STOCK") == (status, unpaid["reason"])

    key = {"Idempotency-Key": "pay-1"}
    status, placed = await client.ask(
        "POST", "/pay", order(("book", 1)), Prefer="respond-async", **key
    )
    assert (202, "PENDING", None) == (status, placed["status"], placed["payment"])
    for again in (order(("book", 1)), {"orderId": placed["orderId"]}):
        status, paid = await client.ask("POST", "/pay", again, **key)
        assert (200, placed["orderId"], "CHARGED") == (
            status,
            paid["orderId"],
            paid["payment"]["status"],
        )
    assert 422 == (await client.ask("POST", "/pay", order(("book", 2)), **key))[0]
    assert 422 == (await client.ask("POST", "/pay", {"userId": "alice"}))[0]
    unknown = "00000000-0000-4000-8000-000000000000"
    assert 404 == (await client.ask("POST", "/pay", {"orderId": unknown}))[0]
    await shop.books_balance()
    book = await client.get("/inventory/book")
    assert (7, 0, 3) == (book["available"], book["reserved"], book["sold"])


async def test_the_dashboard_shows_users_orders_and_analytics(shop: Shop, client: Client) -> None:
    async def whole() -> dict[str, Any] | None:
        board = await client.get("/dashboard")
        return None if board["partial"] else board

    # Analytics are partial while partitions move, which is over soon after the start.
    board = await eventually(whole, END_SECONDS, "all parts are there")

    latest = (await client.get("/orders?limit=1"))["orders"][0]
    assert latest["orderId"] == board["orders"][0]["orderId"]
    assert board["analytics"]["orders"] >= len(board["orders"]) > 0
    assert isinstance(board["users"], list)


async def test_orders_are_listed_newest_first_by_user_and_status(
    shop: Shop, client: Client
) -> None:
    await shop.stock({"pen": 1000, "rare": 0})
    posted = [
        *await post_all(shop.url, [order(("pen", 1), user="carol")] * 20),
        *await post_all(shop.url, [order(("rare", 1), user="carol")] * 5),
    ]
    other = await post_all(shop.url, [order(("pen", 1), user="dave")])
    await shop.all_end([*posted, *other], END_SECONDS)

    carols = await client.listed("orders", "userId=carol&limit=7")
    cancelled = await client.listed("orders", "userId=carol&status=CANCELLED&limit=2")
    everything = await client.listed("orders", "limit=200")

    assert sorted(posted) == sorted(each["orderId"] for each in carols)
    times = [each["history"][0]["at"] for each in everything]
    accepted = [
        next(e["at"] for e in each["history"] if e["event"] == "OrderPlaced") for each in everything
    ]
    assert len(times) >= 26
    assert sorted(accepted, reverse=True) == accepted
    assert sorted(posted[20:]) == sorted(each["orderId"] for each in cancelled)
    assert {"OUT_OF_STOCK"} == {each["reason"] for each in cancelled}
    assert carols[0] == await client.get(f"/orders/{carols[0]['orderId']}")
    assert 422 == (await client.ask("GET", "/orders?status=DONE"))[0]
    assert 400 == (await client.ask("GET", "/orders?cursor=AAAA"))[0]


async def test_sagas_are_listed_by_state(shop: Shop, client: Client) -> None:
    done = await client.listed("sagas", "state=COMPLETED&limit=200")
    aborted = await client.listed("sagas", "state=ABORTED&limit=200&olderThan=0")
    running = await client.listed("sagas", "state=RUNNING&olderThan=100")

    assert done
    assert aborted
    assert {"COMPLETED"} == {saga["state"] for saga in done}
    assert {"ABORTED"} == {saga["state"] for saga in aborted}
    assert all(saga["endedAt"] >= saga["startedAt"] for saga in done)
    assert [] == running


async def test_a_user_is_created_found_and_listed_on_every_worker(
    shop: Shop, client: Client
) -> None:
    alice = {"userId": "alice b/c", "name": "Alice", "email": "alice@example.com"}

    assert 201 == (await client.ask("POST", "/users", alice))[0]
    assert 409 == (await client.ask("POST", "/users", alice))[0]
    status, bob = await client.ask("POST", "/users", {"name": "Bob", "email": "bob@example.com"})
    assert 201 == status

    for _ in range(4):
        found = await client.get("/users/alice%20b%2Fc")
        assert alice == {name: found[name] for name in alice}
    listed = await client.listed("users", "limit=1")
    assert {"alice b/c", bob["userId"]} == {user["userId"] for user in listed}


async def test_stock_is_set_under_load_and_the_books_balance(shop: Shop, client: Client) -> None:
    assert 201 == (await client.ask("PUT", "/inventory/mug", {"available": 30}))[0]
    posting = asyncio.create_task(post_all(shop.url, [order(("mug", 1))] * 200, concurrency=16))

    levels = [20, 0, 5, 50, 10, 40]
    for level in levels:
        status, mug = await client.ask("PUT", "/inventory/mug", {"available": level})
        assert (200, level) == (status, mug["available"])
        await asyncio.sleep(0.05)
    ids = await posting
    ends = await shop.all_end(ids, END_SECONDS)

    assert set(ends.values()) <= {("CONFIRMED", None), ("CANCELLED", "OUT_OF_STOCK")}
    await shop.books_balance()
    mug = await client.get("/inventory/mug")
    sold = sum(end == ("CONFIRMED", None) for end in ends.values())
    assert (0, sold) == (mug["reserved"], mug["sold"])
    history = (await client.get("/inventory/mug/history?limit=100"))["history"]
    assert [30, *levels] == [change["after"] for change in reversed(history)]


async def test_the_indexes_are_there(shop: Shop) -> None:
    with shop.database() as database:

        async def created() -> bool:
            for name, indexes in INDEXES.items():
                there = {index["name"] async for index in database[name].list_indexes()}
                if not {index.document["name"] for index in indexes} <= there:
                    return False
            return True

        await eventually(created, END_SECONDS, "the workers create them")


async def test_the_metrics_of_all_workers_together_are_what_has_happened(
    shop: Shop, client: Client
) -> None:
    await shop.at_rest()
    workers = [worker.url for worker in shop.workers.values()]

    async def looked() -> bool:
        """The last sweep has seen that nothing is left."""
        return 0 == (await scrape(workers)).sum("sagas_pending")

    await eventually(looked, END_SECONDS, "no order is pending")
    figures, *_ = await asyncio.gather(scrape(workers), *(scrape(workers[:1]) for _ in range(20)))

    assert set() == set(CONTRACT) - {"circuit_breaker_state"} - figures.names
    assert_orders(figures, [each async for each in database_of(shop, "orders")])
    told = await client.get("/analytics")
    assert told["revenue"] == pytest.approx(figures.sum("revenue_total"))
    payments = [each async for each in database_of(shop, "payments")]
    counted = figures.by("payments_processed_total", "status")
    assert (
        sum("paymentId" in p and p["paymentId"] is not None for p in payments) == counted["charged"]
    )
    assert figures.sum("lock_acquisitions_total", status="acquired")
    assert figures.sum("rocksdb_keys", table="order-windows")
    assert {1.0} == {ready for _, ready in figures.series("service_ready")}
    assert 0 == figures.sum("worker_recovering")
    assert 0 == figures.sum("dead_letters_total")
    assert {"worker"} == {labels["service"] for labels, _ in figures.series("http_requests_total")}
    await assert_records(figures, shop.servers.kafka)
    assert shop.gateway is not None
    gateway = await scrape([shop.gateway.url])
    states = {labels["target"]: v for labels, v in gateway.series("circuit_breaker_state")}
    assert dict.fromkeys(workers, 0.0) == states
    assert gateway.sum("http_requests_total", method="POST", path="/api/orders", status="202")


async def database_of(shop: Shop, collection: str) -> AsyncIterator[dict[str, Any]]:
    with shop.database() as database:
        async for document in database[collection].find({}):
            yield document


def assert_orders(figures: Figures, orders: list[dict[str, Any]]) -> None:
    """Each order, its end and what was undone for it are counted once."""
    heard = [(each["status"], {entry["event"] for entry in each["history"]}) for each in orders]
    undone = [
        (status, [s.name for s in INVENTORY_FIRST.steps if {s.done, s.undone} <= events])
        for status, events in heard
    ]
    ends = Counter(
        "success" if status == "CONFIRMED" else "compensated" if steps else "failed"
        for status, steps in undone
    )
    assert ends == figures.by("saga_executions_total", "status")
    assert len(orders) == figures.sum("orders_created_total")
    assert len(orders) == figures.sum("saga_duration_seconds_count")
    steps = Counter(step for _, steps in undone for step in steps)
    assert steps == figures.by("saga_compensation_executions_total", "step")


async def assert_records(figures: Figures, kafka: str) -> None:
    """Every record is counted by who sent it and by each group, and none is left."""
    ends: Counter[str] = Counter()
    for tp, end in (await end_offsets(kafka, *{t for of in GROUPS.values() for t in of})).items():
        ends[tp.topic] += end
    produced = figures.by("kafka_messages_produced_total", "topic")
    assert +ends == {topic: produced.get(topic, 0) for topic in +ends}
    lags = Counter((of["group"], of["topic"]) for of, _ in figures.series("kafka_consumer_lag"))
    partitions = Settings().topic_partitions
    assert {(group, t): partitions for group, of in GROUPS.items() for t in of} == lags
    assert 0 == figures.sum("kafka_consumer_lag")
    for group, topics in GROUPS.items():
        consumed = figures.sum("kafka_messages_consumed_total", group=group)
        assert sum(ends[topic] for topic in topics) <= consumed
        assert 1 <= figures.sum("participant_batches_total", group=group) or not consumed
