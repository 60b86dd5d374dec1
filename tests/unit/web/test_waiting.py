import asyncio
from collections.abc import Collection, Mapping

import pytest

from app.domain.order import Order
from app.web.problems import ProblemError
from app.web.waiting import OrderWatcher


class Finder:
    """Orders that have been made known, and what was asked."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.queries: list[set[str]] = []
        self.asked = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, order_ids: Collection[str]) -> Mapping[str, Order]:
        self.queries.append(set(order_ids))
        self.asked.set()
        if self.error is not None:
            raise self.error
        return {order_id: Order(order_id) for order_id in order_ids if order_id in self.known}

    async def next_query(self) -> None:
        self.asked.clear()
        await self.asked.wait()


@pytest.fixture
def finder() -> Finder:
    return Finder()


@pytest.fixture
def watcher(finder: Finder) -> OrderWatcher:
    return OrderWatcher(finder, poll_seconds=0.001, limit=3)


async def test_all_who_wait_share_one_query(finder: Finder, watcher: OrderWatcher) -> None:
    waits = [asyncio.create_task(watcher.wait(order_id, 5)) for order_id in ("a", "b", "b")]
    await finder.next_query()
    finder.known = {"a", "b"}

    orders = await asyncio.gather(*waits)

    assert ["a", "b", "b"] == [order.order_id for order in orders if order]
    assert all(query == {"a", "b"} for query in finder.queries)
    assert 0 == watcher.waiters


async def test_nobody_asks_once_nobody_waits(finder: Finder, watcher: OrderWatcher) -> None:
    assert await watcher.wait("a", 0.02) is None
    polling = watcher._polling
    assert polling is not None

    await polling

    assert all(query == {"a"} for query in finder.queries)


async def test_waiting_begins_anew_after_a_pause(finder: Finder, watcher: OrderWatcher) -> None:
    finder.known = {"a", "b"}
    await watcher.wait("a", 5)
    await asyncio.wait_for(watcher._polling or asyncio.sleep(0), 5)

    assert Order("b") == await watcher.wait("b", 5)


async def test_a_fault_leaves_them_waiting(finder: Finder, watcher: OrderWatcher) -> None:
    finder.error = RuntimeError("away")
    wait = asyncio.create_task(watcher.wait("a", 5))
    await finder.next_query()
    finder.error, finder.known = None, {"a"}

    assert Order("a") == await wait


async def test_no_more_than_the_limit_wait(watcher: OrderWatcher) -> None:
    waits = [asyncio.create_task(watcher.wait("a", 5)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(ProblemError) as refused:
        await watcher.wait("b", 5)

    assert (503, "1") == (refused.value.status, refused.value.headers["Retry-After"])
    await watcher.close()
    assert [None] * 3 == await asyncio.gather(*waits)


async def test_one_who_leaves_frees_the_place(watcher: OrderWatcher) -> None:
    wait = asyncio.create_task(watcher.wait("a", 5))
    await asyncio.sleep(0)
    wait.cancel()
    await asyncio.gather(wait, return_exceptions=True)

    assert 0 == watcher.waiters


async def test_no_time_is_no_wait(finder: Finder, watcher: OrderWatcher) -> None:
    assert await watcher.wait("a", 0) is None
    assert [] == finder.queries
