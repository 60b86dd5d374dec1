"""Services together or apart, and what a worker does at its start."""

import asyncio
import shutil
import subprocess
import uuid
from collections.abc import Iterator

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.local.testing import LocalServers, start_worker
from tests.kafka import eventually, read_all
from tests.shop import GROUPS, Shop, order, post_all

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
        await eventually(moved.is_ready, END_SECONDS, "it is ready")


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


async def test_records_that_no_client_should_send_are_dead_letters_and_end_no_worker(
    servers: LocalServers,
) -> None:
    shop = Shop(servers)
    try:
        shop.start("worker-1", "worker-2")
        await _hostile_records(shop)
    finally:
        shop.stop()


async def _hostile_records(shop: Shop) -> None:
    kcat = shutil.which("kcat")
    assert kcat, "kcat is installed by `make test`"
    await shop.stock({"ink": 1000})
    topic, size = "order.events.v1", 1_048_400
    before = {(r.partition, r.offset) for r in await read_all(shop.servers.kafka, f"{topic}.dlq")}
    produce = [kcat, "-b", shop.servers.kafka, "-P", "-t", topic, "-p", "0"]
    hostile: list[tuple[list[str | bytes], bytes]] = [
        ([*produce, "-Z", "-K", ":"], b":\n"),  # neither key nor value
        ([*produce, "-H", b"caf\xe9=1"], b"a header whose name is not UTF-8\n"),
        ([*produce, "-X", "message.max.bytes=2000000"], b"x" * size + b"\n"),
    ]
    for command, content in hostile:
        await asyncio.to_thread(
            subprocess.run, command, input=content, timeout=30, check=True, capture_output=True
        )
    ids = await post_all(shop.url, [order(("ink", 1))] * 60)
    ends = await shop.all_end(ids, END_SECONDS)
    assert {("CONFIRMED", None)} == set(ends.values())
    await shop.at_rest()
    dead = await read_all(shop.servers.kafka, f"{topic}.dlq")
    letters = [record for record in dead if (record.partition, record.offset) not in before]
    about = [dict(letter.headers) for letter in letters]
    groups = [group for group, topics in GROUPS.items() if topic in topics]
    assert 3 * len(groups) == len(letters), "each group gave each of them up"
    assert len(groups) == sum("dlq-truncated" in headers for headers in about)
    assert len(groups) == sum("unreadable" in headers for headers in about)
    for worker in shop.workers.values():
        await eventually(worker.is_ready, END_SECONDS, f"{worker.name} is ready")


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
