"""Stock set by hand, on a real wire server and a real Redis, while orders reserve and settle."""

import asyncio
import random
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.agents.inventory import LOCK_PREFIX, InventoryService
from app.events import Event, OrderPlaced
from app.resources import Resources, utc_now
from app.saga import INVENTORY_FIRST
from app.settings import Settings
from app.stores.errors import ConflictError, TransientStoreError
from app.stores.locks import FencedLocks
from app.stores.mongo import Database
from app.stores.repositories import STOCK, STOCK_HISTORY
from app.stores.stock import StockStore
from app.stores.stock_history import StockHistory
from app.web.problems import ProblemError
from app.web.stocking import Stocking
from tests.builders import after, placed

pytestmark = pytest.mark.timeout(120)


def stocking(database: Database, redis: Redis, *, wait: float = 5.0) -> Stocking:
    return Stocking(
        stock=StockStore(database[STOCK]),
        history=StockHistory(database),
        locks=FencedLocks(redis, lease_seconds=20.0, wait_seconds=wait),
        clock=utc_now,
        write_seconds=5.0,
    )


def end(event: Event) -> Event:
    assert isinstance(event.data, OrderPlaced)
    return after(event, "OrderConfirmed", event.time, of=event.data)


async def test_stock_set_while_orders_come_and_go_leaves_the_books_balanced(
    database: Database, redis: Redis
) -> None:
    settings = Settings()
    service = InventoryService(Resources(settings, database, database, redis), INVENTORY_FIRST)
    await StockStore(database[STOCK]).put({"a": 50, "b": 50})
    chance = random.Random(3)
    hand = stocking(database, redis)

    async def handle(events: list[Event]) -> None:
        while True:
            try:
                await service.handle(events)
            except TransientStoreError:
                continue
            return

    async def order(start: int) -> None:
        for batch in range(25):
            numbers = range(start + batch * 4, start + batch * 4 + 4)
            made = [placed({"a": chance.randint(1, 3), "b": 1}, number=n) for n in numbers]
            await handle(made)
            await handle([end(event) for event in made])

    async def restock() -> None:
        for _ in range(40):
            await hand.set_available(chance.choice("ab"), chance.randint(0, 60))

    await asyncio.gather(order(1), restock(), restock())

    async for stock in database[STOCK].find({}):
        assert {} == stock["holds"]
        assert stock["initial"] == stock["available"] + stock["sold"]
        assert stock["sold"] > 0
    assert 80 == await database[STOCK_HISTORY].count_documents({})
    changes = await hand.history.latest("a", 100)
    assert sorted({change.token for change in changes}, reverse=True) == [c.token for c in changes]


async def test_a_locked_product_is_refused_and_left(database: Database, redis: Redis) -> None:
    hand = stocking(database, redis, wait=0.05)
    await hand.set_available("a", 5)
    other = FencedLocks(redis, lease_seconds=20.0, wait_seconds=1.0)
    lease = await other.acquire([LOCK_PREFIX + "a"])

    with pytest.raises(ProblemError) as refused:
        await hand.set_available("a", 9)
    await other.release(lease)

    assert 503 == refused.value.status
    _, created = await hand.set_available("a", 9)
    assert not created
    assert [(5, 9), (0, 5)] == [(c.before, c.after) for c in await hand.history.latest("a", 9)]


async def test_a_late_write_with_an_old_token_is_refused(database: Database, redis: Redis) -> None:
    shelf = StockStore(database[STOCK])
    await shelf.set_available("a", None, 5, 10, "t")
    before = (await shelf.load(["a"]))["a"]
    await shelf.set_available("a", before, 6, 12, "t")

    for token in (11, 13):
        with pytest.raises(ConflictError):
            await shelf.set_available("a", before, 7, token, "t")
    with pytest.raises(ConflictError):
        await shelf.set_available("a", None, 7, 14, "t")
    assert 6 == (await shelf.load(["a"]))["a"].available


async def test_over_a_redis_that_came_back_empty_the_next_token_is_higher(
    database: Database, redis: Redis
) -> None:
    hand = stocking(database, redis)
    far = 2 * 10**15
    await hand.stock.set_available("a", None, 5, far, "t")

    stock, _ = await hand.set_available("a", 9)

    assert stock.fence > far


async def test_without_redis_nothing_is_set(database: Database) -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nowhere:
        with pytest.raises(ProblemError) as refused:
            await stocking(database, nowhere).set_available(uuid4().hex, 9)

    assert 503 == refused.value.status
    assert 0 == await database[STOCK].count_documents({})
