"""Services together or apart, and what a worker does at its start."""

import uuid
from collections.abc import Iterator

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.local.testing import LocalServers, start_worker
from tests.kafka import eventually
from tests.shop import Shop, order, post_all

pytestmark = pytest.mark.timeout(180)
END_SECONDS = 60
EXIT_SECONDS = 60


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    with LocalServers(tmp_path_factory.mktemp("services")) as servers:
        yield servers


async def test_services_run_apart_and_together_on_the_same_groups_topics_and_state(
    servers: LocalServers,
) -> None:
    shop = Shop(servers)
    try:
        for service in ("order", "inventory", "payment"):
            shop.start(f"{service}-1", gateway=False, SERVICES=service)
        shop.start()  # a gateway in front of all three
        await shop.stock({"book": 100})
        apart = await post_all(shop.url, [order(("book", 1))] * 30)
        assert {("CONFIRMED", None)} == set((await shop.all_end(apart, END_SECONDS)).values())

        # Orders accepted while only one service runs are finished by the process that runs all.
        for service in ("inventory", "payment"):
            shop.workers[f"{service}-1"].terminate()
        between = await post_all(shop.url, [order(("book", 1))] * 30)
        assert {"PENDING"} >= {s for s, _ in (await shop.statuses(between)).values()}
        shop.workers["order-1"].terminate()
        shop.start("worker-1", gateway=False)
        ends = await shop.all_end(between, END_SECONDS)
        assert {("CONFIRMED", None)} == set(ends.values())
        await shop.books_balance()
        with shop.database() as database:
            stock = await database.stock.find_one({"_id": "book"})
        assert (40, {}, 60) == (stock["available"], stock["holds"], stock["sold"])
    finally:
        shop.stop()


async def test_a_worker_refuses_a_topic_with_the_wrong_partition_count_and_says_so(
    servers: LocalServers,
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("payment.events.v1", 3, 1)])
    await admin.close()
    worker = start_worker(servers, "worker-1", wait=False)
    try:
        await eventually(lambda: not worker.alive(), EXIT_SECONDS, "the worker ends")
        log = worker.log_tail()
        assert "payment.events.v1" in log
        assert "3" in log
        assert "refusing to start" in log
        assert "Traceback" not in log
    finally:
        worker.kill9()


async def test_a_worker_that_comes_back_at_another_port_at_once_is_ready(
    servers: LocalServers,
) -> None:
    worker = start_worker(servers, "worker-1")
    worker.kill9()
    with start_worker(servers, "worker-1") as moved:
        assert moved.port != worker.port
        assert moved.is_ready()


async def test_sigterm_under_load_loses_nothing_and_the_worker_ends_cleanly(
    servers: LocalServers,
) -> None:
    shop = Shop(servers)
    try:
        shop.start("worker-1", "worker-2")
        await shop.stock({"pot": 10_000})
        half = await post_all(shop.url, [order(("pot", 1))] * 300)
        assert shop.workers["worker-1"].terminate(), "it ended by itself, in time"
        rest = await post_all(shop.url, [order(("pot", 1))] * 300)
        ends = await shop.all_end([*half, *rest], END_SECONDS)
        assert {("CONFIRMED", None)} == set(ends.values())
        await shop.books_balance()
    finally:
        shop.stop()


async def test_a_worker_answers_for_orders_that_another_accepted_and_processed(
    servers: LocalServers,
) -> None:
    shop = Shop(servers)
    try:
        shop.start("worker-1", "worker-2")
        await shop.stock({"jug": 100})
        ids = await post_all(shop.workers["worker-1"].url, [order(("jug", 1))] * 12)
        async with aiohttp.ClientSession() as session:
            for order_id in ids:
                url = f"{shop.workers['worker-2'].url}/orders/{order_id}"
                async with session.get(url, headers={"Prefer": "wait=20"}) as answer:
                    assert 200 == answer.status
                    assert "CONFIRMED" == (await answer.json())["status"]
            missing = f"{shop.workers['worker-2'].url}/orders/{uuid.uuid4()}"
            async with session.get(missing) as answer:
                assert 404 == answer.status
    finally:
        shop.stop()
