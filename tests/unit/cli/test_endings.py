"""Waiting until orders have ended, over a collection that changes between two looks."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

import pytest

from app.cli.endings import Ending, earlier, limit_seconds, quantile, wait_for_ends
from app.domain.order import OrderStatus
from app.stores.errors import TransientStoreError
from app.stores.mongo import Collection

Documents = dict[str, dict[str, Any]]


class Orders:
    """The orders' collection: `look(n)` gives what is stored at the n-th query."""

    def __init__(self, look: Callable[[int], Documents]) -> None:
        self.look = look
        self.queries: list[list[str]] = []

    async def find(self, query: Any, fields: Mapping[str, int]) -> AsyncIterator[dict[str, Any]]:
        ids = query["_id"]["$in"]
        self.queries.append(ids)
        stored = self.look(len(self.queries) - 1)
        for key in ids:
            if key in stored:
                yield stored[key]

    @property
    def collection(self) -> Collection:
        return cast("Collection", self)


def order(key: str, status: str = "CONFIRMED", second: int = 3, **fields: Any) -> dict[str, Any]:
    end = {"CONFIRMED": ["OrderConfirmed"], "CANCELLED": ["OrderCancelled"]}.get(status, [])
    events = ["InventoryReserved", "OrderPlaced", *end]
    times = ["2024-01-01T00:00:02.000000Z", "2024-01-01T00:00:01.500000Z"]
    times.append(f"2024-01-01T00:00:{second:02d}.000000Z")
    history = [{"event": e, "at": at} for e, at in zip(events, times, strict=False)]
    return {
        "_id": key,
        "status": status,
        "reason": None,
        "total": 250,
        "history": history,
        **fields,
    }


async def test_it_looks_until_every_order_has_ended() -> None:
    def look(query: int) -> Documents:
        ended = {"a": order("a"), "b": order("b", "CANCELLED", reason="OUT_OF_STOCK")}
        return {"a": ended["a"], "b": order("b", "PENDING")} if query < 2 else ended

    orders = Orders(look)

    endings = await wait_for_ends(orders.collection, ["a", "b", "a"], limit=5, poll=0)

    assert [["a", "b"], ["b"], ["b"]] == orders.queries
    assert [] == endings.pending
    assert (1, {"OUT_OF_STOCK": 1}, 250) == (
        endings.of(OrderStatus.CONFIRMED),
        dict(endings.reasons()),
        endings.revenue(),
    )


async def test_an_order_took_from_its_placing_to_its_end_in_whatever_order_they_were_heard() -> (
    None
):
    orders = Orders(lambda query: {"a": order("a")})

    endings = await wait_for_ends(orders.collection, ["a"], limit=1)

    (ending,) = endings.ended
    assert 1.5 == ending.ended_at - ending.accepted_at


@pytest.mark.parametrize(("limit", "stalled"), [(0.05, 60), (60, 0.05)])
async def test_it_gives_up_in_time_and_when_nothing_moves(limit: float, stalled: float) -> None:
    orders = Orders(lambda query: {"a": order("a", "PENDING")})

    endings = await wait_for_ends(
        orders.collection, ["a", "never stored"], limit=limit, stalled=stalled, poll=0.01
    )

    assert ["a", "never stored"] == endings.pending


async def test_an_order_that_hears_events_moves() -> None:
    def look(query: int) -> Documents:
        heard = [{"event": f"E{n}", "at": "2024-01-01T00:00:02.000000Z"} for n in range(query)]
        return {"a": order("a", "PENDING", history=heard) if query < 20 else order("a")}

    # All looks together take longer than what counts as stalled, and none of them nearly so long.
    endings = await wait_for_ends(Orders(look).collection, ["a"], limit=60, stalled=1.5, poll=0.1)

    assert [] == endings.pending


async def test_a_database_that_is_away_for_a_while_is_waited_for() -> None:
    def look(query: int) -> Documents:
        if query in (1, 2):
            raise TransientStoreError("away")
        ended = {str(n): order(str(n)) for n in range(501)}
        return ended if query else {"0": ended["0"]}

    ids = [str(n) for n in range(501)]
    endings = await wait_for_ends(Orders(look).collection, ids, limit=5, poll=0)

    assert ids == sorted((e.order_id for e in endings.ended), key=int)


async def test_a_database_that_stays_away_is_said() -> None:
    def look(query: int) -> Documents:
        raise TransientStoreError("away")

    with pytest.raises(TransientStoreError, match="away"):
        await wait_for_ends(Orders(look).collection, ["a"], limit=60, stalled=0.05, poll=0.01)


async def test_orders_are_asked_for_in_batches() -> None:
    ids = [str(number) for number in range(1100)]
    orders = Orders(lambda query: {key: order(key) for key in ids})

    await wait_for_ends(orders.collection, ids, limit=1)

    assert [500, 500, 100] == [len(query) for query in orders.queries]


def test_orders_accepted_before_the_run_are_told_by_their_history() -> None:
    def ended(key: str, at: float) -> Ending:
        return Ending(key, OrderStatus.CONFIRMED, None, 0, at, at + 1)

    assert {"old"} == earlier([ended("old", 90.0), ended("new", 100.2)], began=100.0)


def test_the_limit_grows_with_the_orders() -> None:
    assert limit_seconds(20_000) > limit_seconds(2000) > limit_seconds(0) > 0


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.99, 3.0),
        ([4.0, 1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
    ],
)
def test_quantiles_are_of_the_nearest_rank(
    values: list[float], share: float, expected: float | None
) -> None:
    assert expected == quantile(values, share)
