"""`GET /orders`."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.order import HistoryEntry, Order
from app.events import Event, Item, OrderPlaced
from app.stores import listing
from app.stores.repositories import INDEXES, ORDERS
from tests.unit.web.conftest import NOW, World, heard
from tests.unit.web.fakes import until


def place(world: World, second: int, user: str = "u1", *, lines: int = 1) -> Order:
    """An order accepted in that second."""
    item = Item.model_construct(product_id="p", quantity=1, price=100)
    placed = OrderPlaced.model_construct(
        order_id=str(uuid4()),
        user_id=user,
        items=(item,) * lines,
        total=100 * lines,
        country=None,
        placed_at=NOW,
        fingerprint="f",
    )
    at = f"2026-01-31T12:00:{second:02d}.000000Z"
    order = heard(None, Event.first(placed, source="order", at=at))
    world.database.store(order)
    return order


def end(world: World, order: Order, status: str) -> None:
    world.database[ORDERS].documents[order.order_id]["status"] = status


async def pages(world: World, query: str, limit: int) -> list[list[str]]:
    found, cursor = [], ""
    while True:
        response = await world.get(f"/orders?{query}&limit={limit}&cursor={cursor}")
        assert 200 == response.status
        answer = await response.json()
        found.append([order["orderId"] for order in answer["orders"]])
        cursor = answer["nextCursor"]
        if cursor is None:
            return found


async def test_orders_are_listed_newest_first_as_they_are_shown_alone(world: World) -> None:
    older, newer = place(world, 1), place(world, 2)

    answer = await (await world.get("/orders")).json()

    assert [newer.order_id, older.order_id] == [order["orderId"] for order in answer["orders"]]
    assert await (await world.get(f"/orders/{newer.order_id}")).json() == answer["orders"][0]
    assert answer["nextCursor"] is None


async def test_without_orders_the_list_is_empty(world: World) -> None:
    assert {"orders": [], "nextCursor": None} == await (await world.get("/orders")).json()


async def test_pages_meet_each_order_once_though_many_were_accepted_at_once(world: World) -> None:
    orders = [place(world, second) for second in (1, 1, 1, 1, 1, 2, 2, 3)]
    expected = sorted(orders, key=lambda o: (o.updated_at, o.order_id), reverse=True)

    found = await pages(world, "", 3)

    assert [3, 3, 2] == [len(page) for page in found]
    assert [o.order_id for o in expected] == [order_id for page in found for order_id in page]


async def test_orders_that_come_meanwhile_move_nothing(world: World) -> None:
    first, second = place(world, 1), place(world, 2)
    page = await (await world.get("/orders?limit=1")).json()
    place(world, 3)

    rest = await (await world.get(f"/orders?limit=1&cursor={page['nextCursor']}")).json()

    assert [second.order_id] == [order["orderId"] for order in page["orders"]]
    assert [first.order_id] == [order["orderId"] for order in rest["orders"]]


async def test_a_user_and_a_status_narrow_the_list(world: World) -> None:
    mine, ended, others = place(world, 1), place(world, 2), place(world, 3, user="u2")
    end(world, ended, "CONFIRMED")

    assert [[ended.order_id, mine.order_id]] == await pages(world, "userId=u1", 9)
    assert [[others.order_id, mine.order_id]] == await pages(world, "status=PENDING", 9)
    assert [[ended.order_id]] == await pages(world, "userId=u1&status=CONFIRMED", 9)
    assert [[]] == await pages(world, "userId=nobody", 9)
    assert [[others.order_id], [ended.order_id], [mine.order_id]] == await pages(
        world, "userId=&status=", 1
    )


async def test_an_order_of_which_only_steps_were_heard_is_not_listed(world: World) -> None:
    world.database.store(Order(str(uuid4()), history=(HistoryEntry("InventoryReserved", "t"),)))

    assert [[]] == await pages(world, "status=PENDING", 9)
    assert [[]] == await pages(world, "", 9)


async def test_a_page_of_large_orders_ends_early(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_LINES_MOST", 10)
    for second in range(5):
        place(world, second, lines=5)

    assert [2, 2, 1] == [len(page) for page in await pages(world, "", 5)]


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("status=DONE", 422, "status"),
        ("status=pending", 422, "status"),
        ("limit=0", 422, "limit"),
        ("limit=201", 422, "limit"),
        ("limit=1.5", 422, "limit"),
        ("userId=%00", 422, "userId"),
        ("userId=" + "x" * 129, 422, "userId"),
        ("cursor=nonsense", 400, None),
        ("cursor=" + "A" * 3000, 400, None),
    ],
)
async def test_what_is_wrong_with_a_query_is_told(
    world: World, query: str, status: int, named: str | None
) -> None:
    response = await world.get(f"/orders?{query}")

    problem = await response.json(content_type="application/problem+json")
    assert status == response.status
    if named is not None:
        assert named == problem["errors"][0]["field"]


async def test_a_database_that_is_away_is_unavailable(world: World) -> None:
    world.database.down = True

    for path in ("/orders", "/sagas", "/users"):
        response = await world.get(path)

        assert 503 == response.status
        assert "Retry-After" in response.headers


async def test_the_worker_creates_the_indexes_at_its_start(world: World) -> None:
    await until(lambda: all(world.database[name].indexes for name in INDEXES))

    assert {name: list(indexes) for name, indexes in INDEXES.items()} == {
        name: world.database[name].indexes for name in INDEXES
    }


parameters: Any = st.dictionaries(
    st.sampled_from(["userId", "status", "state", "limit", "cursor", "olderThan", "after"]),
    st.text(max_size=30) | st.sampled_from(["PENDING", "RUNNING", "1", "5.5", "1e999", "nan"]),
)
PATHS = ("/orders", "/sagas", "/users", "/inventory", "/inventory/p/history")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(path=st.sampled_from(PATHS), query=parameters)
async def test_no_query_whatever_breaks_the_server(
    world: World, path: str, query: dict[str, str]
) -> None:
    encodable = {name: value.encode("utf-8", "ignore").decode() for name, value in query.items()}

    response = await world.client.get(path, params=encodable)

    assert response.status in {200, 400, 404, 422}
    await response.json(content_type=None)


@pytest.mark.parametrize("path", PATHS)
async def test_bytes_that_are_no_text_break_nothing(world: World, path: str) -> None:
    for name in ("userId", "status", "state", "limit", "cursor", "olderThan"):
        for value in ("%ff", "%ED%A0%80", "%00", "%"):
            response = await world.get(f"{path}?{name}={value}")

            assert response.status in {200, 400, 404, 422}
