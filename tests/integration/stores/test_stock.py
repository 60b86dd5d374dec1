"""The shelf's documents on a real wire server."""

import asyncio
from dataclasses import replace

import pytest

from app.domain.inventory import Stock
from app.stores.errors import ConflictError
from app.stores.mongo import Database
from app.stores.stock import StockStore, changes
from tests.builders import order_id

pytestmark = pytest.mark.timeout(60)

FIRST, SECOND = order_id(1), order_id(2)


@pytest.fixture
async def store(database: Database) -> StockStore:
    """A shelf with ten apples and five pears."""
    shelf = StockStore(database["stock"])
    assert 2 == await shelf.put({"apple": 10, "pear": 5})
    return shelf


async def test_put_creates_what_is_missing_and_leaves_the_rest(store: StockStore) -> None:
    before = await store.load(["apple"])
    await store.save(before, {"apple": before["apple"].hold(FIRST, 3)}, token=1)

    assert 1 == await store.put({"apple": 99, "plum": 7})

    shelf = await store.load(["apple", "plum"])
    assert Stock("apple", 7, {FIRST: 3}, 0, 1) == shelf["apple"]
    assert Stock("plum", 7) == shelf["plum"]
    assert 0 == await store.put({"apple": 1, "pear": 1})
    assert 0 == await store.put({})


async def test_put_notes_the_initial_level_and_no_write_changes_it(store: StockStore) -> None:
    before = await store.load(["apple"])
    await store.save(before, {"apple": before["apple"].hold(FIRST, 3)}, token=1)
    await store.put({"apple": 99})

    document = await store.collection.find_one({"_id": "apple"})
    assert document is not None
    assert 10 == document["initial"]


async def test_only_products_that_exist_are_loaded(store: StockStore) -> None:
    assert {"apple": Stock("apple", 10)} == await store.load(["apple", "unicorn"])
    assert {} == await store.load([])


async def test_a_saved_stock_is_loaded_as_it_was_saved(store: StockStore) -> None:
    before = await store.load(["apple", "pear"])
    held = before["apple"].hold(FIRST, 3).hold(SECOND, 2)

    await store.save(before, {"apple": held, "pear": before["pear"]}, token=7)

    assert {
        "apple": replace(held, fence=7),
        "pear": replace(before["pear"], fence=7),
    } == await store.load(["apple", "pear"])


async def test_only_the_holds_that_changed_are_written(store: StockStore) -> None:
    before = Stock("apple", 5, {FIRST: 3, SECOND: 2}, 0, 7)
    after = before.settle(FIRST).hold(order_id(3), 1)

    assert {
        "$set": {"fence": 8, "available": 4, "sold": 3, f"holds.{order_id(3)}": 1},
        "$unset": {f"holds.{FIRST}": ""},
    } == changes(before, after, 8)
    assert {"$set": {"fence": 8, "available": 5, "sold": 0}} == changes(before, before, 8)


async def test_holds_are_added_changed_and_removed_by_their_delta(store: StockStore) -> None:
    for token, apply in enumerate(
        (
            lambda stock: stock.hold(FIRST, 3).hold(SECOND, 2),
            lambda stock: stock.hold(FIRST, 4).settle(SECOND),
            lambda stock: stock.hold(FIRST, 0),
        ),
        start=1,
    ):
        before = await store.load(["apple"])
        after = apply(before["apple"])
        await store.save(before, {"apple": after}, token)
        assert {"apple": replace(after, fence=token)} == await store.load(["apple"])

    assert Stock("apple", 8, {}, 2, 3) == (await store.load(["apple"]))["apple"]


async def test_a_late_write_with_an_older_token_is_refused(store: StockStore) -> None:
    stale = await store.load(["apple"])
    current = await store.load(["apple"])
    await store.save(current, {"apple": current["apple"].hold(FIRST, 10)}, token=8)

    with pytest.raises(ConflictError):
        await store.save(stale, {"apple": stale["apple"].hold(SECOND, 10)}, token=7)

    assert Stock("apple", 0, {FIRST: 10}, 0, 8) == (await store.load(["apple"]))["apple"]


async def test_a_token_that_is_not_above_the_fence_read_is_refused_unwritten(
    store: StockStore,
) -> None:
    shelf = await store.load(["apple", "pear"])
    await store.save(shelf, {"apple": shelf["apple"].hold(FIRST, 1)}, token=8)
    shelf = await store.load(["apple", "pear"])

    for token in (7, 8):
        with pytest.raises(ConflictError, match=f"token {token} is older"):
            await store.save(shelf, {"apple": shelf["apple"], "pear": shelf["pear"]}, token)

    assert shelf == await store.load(["apple", "pear"])


async def test_even_a_newer_token_is_refused_over_a_write_it_has_not_seen(
    store: StockStore,
) -> None:
    stale = await store.load(["apple"])
    current = await store.load(["apple"])
    await store.save(current, {"apple": current["apple"].hold(FIRST, 10)}, token=8)

    with pytest.raises(ConflictError):
        await store.save(stale, {"apple": stale["apple"].hold(SECOND, 10)}, token=9)

    assert {FIRST: 10} == (await store.load(["apple"]))["apple"].holds


async def test_a_refused_product_does_not_keep_the_others_from_being_written(
    store: StockStore,
) -> None:
    stale = await store.load(["apple", "pear"])
    await store.save(stale, {"apple": stale["apple"]}, token=8)

    with pytest.raises(ConflictError, match="1 products"):
        await store.save(stale, {p: stale[p].hold(FIRST, 1) for p in stale}, token=9)

    shelf = await store.load(["apple", "pear"])
    assert [0, 1] == [shelf["apple"].reserved, shelf["pear"].reserved]


async def test_concurrent_savers_without_locks_never_oversell(store: StockStore) -> None:
    """Thirty want a unit of ten, each try with its own token, and nothing but the fence between."""
    won: list[str] = []
    tokens = iter(range(1, 100_000))

    async def buy(number: int) -> None:
        while True:
            token = next(tokens)
            shelf = await store.load(["apple"])
            if not shelf["apple"].available:
                return
            try:
                held = shelf["apple"].hold(order_id(number), 1)
                await store.save(shelf, {"apple": held}, token)
            except ConflictError:
                continue
            won.append(order_id(number))
            return

    async with asyncio.timeout(50):
        await asyncio.gather(*(buy(number) for number in range(30)))

    stock = (await store.load(["apple"]))["apple"]
    assert (0, 10) == (stock.available, stock.reserved)
    assert sorted(won) == sorted(stock.holds)


async def test_product_ids_may_hold_any_character(store: StockStore) -> None:
    names = ["a.b", "$set", "ä 'x'", "{}", "85123A"]
    assert len(names) == await store.put(dict.fromkeys(names, 1))

    shelf = await store.load(names)
    await store.save(shelf, {p: s.hold(FIRST, 1) for p, s in shelf.items()}, token=1)

    assert {1} == {stock.reserved for stock in (await store.load(names)).values()}
