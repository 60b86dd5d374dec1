"""`PUT /inventory/{productId}` and its history."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from app.stores.repositories import STOCK, STOCK_HISTORY
from app.stores.stock_history import StockHistory
from tests.unit.web.conftest import World
from tests.unit.web.fakes import until


def shelve(world: World, **changes: Any) -> None:
    level: dict[str, Any] = {"available": 5, "holds": {"o1": 2}, "sold": 4, "fence": 9}
    world.database[STOCK].put("lamp", **(level | {"initial": 11} | changes))


async def put(world: World, available: Any, product: str = "lamp") -> ClientResponse:
    return await world.client.put(f"/inventory/{product}", json={"available": available})


async def history(world: World, query: str = "") -> list[tuple[int, int]]:
    answer = await (await world.get(f"/inventory/lamp/history{query}")).json()
    return [(change["before"], change["after"]) for change in answer["history"]]


async def test_stock_is_set_and_its_books_still_balance(world: World) -> None:
    shelve(world)

    response = await put(world, 50)

    assert 200 == response.status
    assert {"productId": "lamp", "available": 50, "reserved": 2, "sold": 4} == await response.json()
    stock = world.database[STOCK].documents["lamp"]
    assert (50, 56, {"o1": 2}) == (stock["available"], stock["initial"], stock["holds"])
    assert stock["initial"] == stock["available"] + 2 + stock["sold"]
    assert stock["fence"] > 9
    assert {} == world.locks.held


async def test_a_product_that_is_missing_is_created(world: World) -> None:
    response = await put(world, 7, "a%20b%2Fc")

    assert 201 == response.status
    assert "/inventory/a%20b%2Fc" == response.headers["Location"]
    assert "a b/c" == (await (await world.get(response.headers["Location"])).json())["productId"]
    assert 7 == world.database[STOCK].documents["a b/c"]["initial"]


async def test_each_change_is_in_the_history_newest_first(world: World) -> None:
    shelve(world)
    for level in (10, 0, 3):
        await put(world, level)

    assert [(0, 3), (10, 0), (5, 10)] == await history(world)
    assert [(0, 3), (10, 0)] == await history(world, "?limit=2")
    entry = (await (await world.get("/inventory/lamp/history")).json())["history"][0]
    assert "2026-01-31T12:00:00.123456Z" == entry["at"]
    assert world.database[STOCK].documents["lamp"]["fence"] == entry["token"]


async def test_a_product_never_set_has_no_history_and_an_unknown_one_is_not_found(
    world: World,
) -> None:
    shelve(world)

    assert [] == await history(world)
    for path in ("none", "%00"):
        assert 404 == (await world.get(f"/inventory/{path}/history")).status


async def test_a_change_whose_note_was_lost_is_in_the_history_all_the_same(world: World) -> None:
    shelve(world)
    await put(world, 10)
    world.database[STOCK_HISTORY].documents.clear()

    assert [(5, 10)] == await history(world)
    await put(world, 20)
    assert [(10, 20), (5, 10)] == await history(world)


async def test_only_the_newest_changes_are_kept(world: World) -> None:
    shelve(world)
    kept = StockHistory(world.database, kept=3)  # type: ignore[arg-type]
    for level in range(10, 16):
        await put(world, level)
        await kept.copy_last("lamp")

    assert [15, 14, 13] == [after for _, after in await history(world)]


async def test_a_lock_that_others_keep_is_told(world: World) -> None:
    shelve(world)
    world.locks.taken.add("stock:lamp")

    response = await put(world, 50)

    assert 503 == response.status
    assert "2" == response.headers["Retry-After"]
    assert 5 == world.database[STOCK].documents["lamp"]["available"]


async def test_a_fence_from_before_a_loss_of_redis_is_overtaken(world: World) -> None:
    shelve(world, fence=10**6)

    assert 200 == (await put(world, 50)).status
    assert world.database[STOCK].documents["lamp"]["fence"] > 10**6


async def test_a_database_that_goes_away_gives_the_lock_back(world: World) -> None:
    shelve(world)
    world.database.down = True

    response = await put(world, 50)

    assert 503 == response.status
    assert {} == world.locks.held


async def test_a_client_that_leaves_does_not_leave_its_lock(world: World) -> None:
    shelve(world)
    world.database.hangs = True
    change = asyncio.create_task(put(world, 50))
    await until(world.database.hung.is_set)
    change.cancel()
    await asyncio.gather(change, return_exceptions=True)

    world.database.hangs = False
    world.database.go_on.set()
    await until(lambda: world.database[STOCK].documents["lamp"]["available"] == 50)
    await until(lambda: world.locks.held == {})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"available": -1}, "available"),
        ({"available": 1.5}, "available"),
        ({"available": True}, "available"),
        ({"available": "5"}, "available"),
        ({"available": None}, "available"),
        ({"available": 10**9 + 1}, "available"),
        ({"available": 10**30}, "available"),
        ({}, "available"),
        ({"available": 1, "sold": 5}, "sold"),
        ([], "body"),
    ],
)
async def test_a_level_that_is_none_is_named(world: World, body: Any, named: str) -> None:
    shelve(world)

    response = await world.client.put("/inventory/lamp", json=body)

    assert 422 == response.status
    assert named == (await response.json(content_type=None))["errors"][0]["field"]


@pytest.mark.parametrize("product", ["%00", "x" * 65, "%ED%A0%80%0A", "%20"])
async def test_a_product_that_could_not_be_is_not_made(world: World, product: str) -> None:
    response = await put(world, 5, product)

    assert 422 == response.status
    assert "productId" == (await response.json(content_type=None))["errors"][0]["field"]


async def test_a_body_that_is_not_said_to_be_json_is_refused(world: World) -> None:
    response = await world.client.put("/inventory/lamp", data=b"{}")

    assert 415 == response.status
    assert "application/json" == response.headers["Accept"]
