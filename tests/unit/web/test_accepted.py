import asyncio
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from app.domain.order import HistoryEntry, Order
from app.events import Event, Item, OrderPlaced
from app.stores.errors import TransientStoreError
from app.web.accepted import LOCAL_ORDERS, AcceptedOrders, Known
from tests.unit.web.fakes import FakeKeys, FakeRedis

AT = "2026-01-31T12:00:00.000000Z"


def placed(items: int = 1) -> Event:
    item = Item.model_construct(product_id="p" * 60, quantity=1, price=255)
    data = OrderPlaced.model_construct(
        order_id=str(uuid4()),
        user_id="u1",
        items=(item,) * items,
        total=255 * items,
        country=None,
        placed_at=datetime(2026, 1, 31, tzinfo=UTC),
        fingerprint="f",
    )
    return Event.first(data, source="order", at=AT)


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


def worker(redis: FakeRedis) -> AcceptedOrders:
    return AcceptedOrders(cast("Any", redis), FakeKeys(redis))


async def test_what_one_worker_accepted_every_worker_knows(redis: FakeRedis) -> None:
    event = placed()
    await worker(redis).remember(event, claim=None, answer=b"")

    known = await worker(redis).known(event.order_id)

    assert isinstance(event.data, OrderPlaced)
    order = Order(event.order_id, event.data, history=(HistoryEntry("OrderPlaced", AT),))
    assert Known(order) == known


async def test_a_large_order_is_known_by_its_id_alone(redis: FakeRedis) -> None:
    event = placed(items=500)
    accepted = worker(redis)
    await accepted.remember(event, claim=None, answer=b"")

    assert Known(None) == await accepted.known(event.order_id)
    assert all(len(value) < 10 for value in redis.values.values())


async def test_an_order_that_was_not_accepted_is_not_known(redis: FakeRedis) -> None:
    assert await worker(redis).known(str(uuid4())) is None


async def test_without_redis_another_workers_orders_can_not_be_told(redis: FakeRedis) -> None:
    event = placed()
    accepting = worker(redis)
    redis.down = True
    await accepting.remember(event, claim=None, answer=b"")

    assert await accepting.known(event.order_id) is not None
    with pytest.raises(TransientStoreError):
        await worker(redis).known(event.order_id)


async def test_a_workers_own_memory_is_bounded(redis: FakeRedis) -> None:
    accepted = worker(redis)
    for _ in range(LOCAL_ORDERS + 10):
        await accepted.remember(placed(), claim=None, answer=b"")

    assert LOCAL_ORDERS == len(accepted._local)


class SlowRedis(FakeRedis):
    """One that takes a write only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()
        self.written = asyncio.Event()

    async def set(self, key: str, value: bytes, *, px: int) -> None:
        await self.may_write.wait()
        await super().set(key, value, px=px)
        self.written.set()


async def test_a_slow_redis_holds_no_answer_back_and_is_told_all_the_same() -> None:
    redis, event = SlowRedis(), placed()
    await worker(redis).remember(event, claim=None, answer=b"")
    assert not redis.written.is_set()

    redis.may_write.set()
    async with asyncio.timeout(10):
        await redis.written.wait()

    assert await worker(redis).known(event.order_id) is not None
