"""Crashes and outages under load: all orders end, the books balance, nothing is charged twice."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from app.domain.simulation import fails
from infra.local.testing import LocalServers, ServerName
from tests.shop import Shop, order, post_all

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]

PRODUCTS = 40
OUTAGE_SECONDS = 20.0
KAFKA_PAUSE_SECONDS = 12.0
SEED = 5
PAYMENT_FAILURE_RATE = 0.1


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("chaos")) as servers:
        shop = Shop(
            servers,
            env={
                "PAYMENT_FAILURE_RATE": str(PAYMENT_FAILURE_RATE),
                "PAYMENT_SEED": str(SEED),
                "SESSION_TIMEOUT_SECONDS": "6",
            },
        )
        try:
            shop.start("worker-1", "worker-2")
            yield shop
        finally:
            shop.stop()


def bodies(count: int, seed: int) -> list[dict[str, object]]:
    chance = random.Random(seed)
    products = [f"p{n}" for n in range(PRODUCTS)]
    return [
        order(*((p, chance.randint(1, 3)) for p in chance.sample(products, 2)))
        for _ in range(count)
    ]


async def one_charge_an_order_at_most(shop: Shop) -> None:
    with shop.database() as database:
        charges = Counter([c["orderId"] async for c in database.provider_ledger.find({"ok": True})])
    assert {order_id: n for order_id, n in charges.items() if n > 1} == {}


def payments_failed_as_seeded(ends: dict[str, tuple[str, str | None]]) -> None:
    for order_id, (status, reason) in ends.items():
        if reason != "OUT_OF_STOCK":
            failed = fails(SEED, "payment", order_id, PAYMENT_FAILURE_RATE)
            expected = ("CANCELLED", "PAYMENT_FAILED") if failed else ("CONFIRMED", None)
            assert expected == (status, reason)


async def test_workers_killed_every_few_seconds_lose_nothing_and_charge_nothing_twice(
    shop: Shop,
) -> None:
    await shop.stock({f"p{n}": 450 for n in range(PRODUCTS)})
    posting = asyncio.create_task(post_all(shop.url, bodies(5000, seed=1), concurrency=32))
    chance = random.Random(2)
    kills = 0
    while not posting.done() and kills < 40:
        await asyncio.wait([posting], timeout=chance.uniform(3, 5))
        victim = chance.choice(("worker-1", "worker-2"))
        shop.workers[victim].kill9()
        shop.restart(victim)
        kills += 1
    ids = await posting
    # The last kill may have left work in flight: it, too, must be taken up again.
    for victim in ("worker-1", "worker-2"):
        shop.workers[victim].kill9()
        shop.restart(victim)
    ends = await shop.all_end(ids, 150)
    assert kills >= 3
    assert 5000 == len(ends)
    payments_failed_as_seeded(ends)
    assert {None, "OUT_OF_STOCK", "PAYMENT_FAILED"} == {reason for _, reason in ends.values()}
    await shop.books_balance()
    await one_charge_an_order_at_most(shop)


@pytest.mark.parametrize("server", ["mongo", "redis"])
async def test_a_store_away_for_twenty_seconds_under_load_loses_nothing(
    shop: Shop, server: ServerName
) -> None:
    await shop.stock({f"p{n}": 100_000 for n in range(PRODUCTS)})
    before = await post_all(shop.url, bodies(200, seed=3))
    await shop.all_end(before, 60)

    posting = asyncio.create_task(post_all(shop.url, bodies(600, seed=4), concurrency=8))
    stopped = time.monotonic()
    await asyncio.to_thread(shop.servers.stop, server)
    # Orders are accepted all the while: they wait in Kafka.
    accepted = await posting
    await asyncio.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - stopped)))
    await asyncio.to_thread(shop.servers.start, server)

    ends = await shop.all_end([*before, *accepted], 120)
    payments_failed_as_seeded(ends)
    assert {"worker-1", "worker-2"} == {n for n, w in shop.workers.items() if w.alive()}
    await shop.books_balance()
    await one_charge_an_order_at_most(shop)


async def test_kafka_paused_again_and_again_under_load_ends_no_worker_and_loses_nothing(
    shop: Shop,
) -> None:
    await shop.stock({f"p{n}": 100_000 for n in range(PRODUCTS)})
    shop.start("worker-3", gateway=False)
    accepted: list[str] = []
    for round_number in range(2):
        posting = asyncio.create_task(
            post_all(shop.url, bodies(150, seed=10 + round_number), concurrency=8)
        )
        # Longer than the session time-out: the broker forgets the members, and they rejoin.
        await asyncio.to_thread(shop.servers.pause, "kafka")
        await asyncio.wait([posting], timeout=KAFKA_PAUSE_SECONDS)
        await asyncio.to_thread(shop.servers.resume, "kafka")
        accepted += await posting
    ends = await shop.all_end(accepted, 150)
    payments_failed_as_seeded(ends)
    assert {"worker-1", "worker-2", "worker-3"} == {n for n, w in shop.workers.items() if w.alive()}
    await shop.books_balance()
    await one_charge_an_order_at_most(shop)


async def test_kafka_stopped_and_started_again_keeps_every_order_that_was_accepted(
    shop: Shop,
) -> None:
    await shop.stock({f"p{n}": 100_000 for n in range(PRODUCTS)})
    before = await post_all(shop.url, bodies(100, seed=20))
    await asyncio.to_thread(shop.servers.stop, "kafka")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{shop.url}/orders", json=bodies(1, seed=21)[0]) as answer,
    ):
        assert 503 == answer.status
        assert "Retry-After" in answer.headers
        assert "application/problem+json" == answer.content_type
    posting = asyncio.create_task(post_all(shop.url, bodies(100, seed=22), concurrency=8))
    await asyncio.to_thread(shop.servers.start, "kafka")
    accepted = await posting
    ends = await shop.all_end([*before, *accepted], 120)
    payments_failed_as_seeded(ends)
    await shop.books_balance()
    await one_charge_an_order_at_most(shop)
