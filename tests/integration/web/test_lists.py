"""Lists of orders, sagas and users on a real wire server."""

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.order import OrderStatus
from app.events import timestamp
from app.saga import INVENTORY_FIRST, SagaState
from app.stores.listing import Page, Position, orders_page, sagas_page
from app.stores.mongo import Database
from app.stores.repositories import INDEXES, ORDERS, ensure_indexes
from app.stores.users import User, UserStore
from tests.builders import order_id

pytestmark = pytest.mark.timeout(120)

START = datetime(2026, 1, 31, tzinfo=UTC)
USERS = 40
ORDERS_STORED = 3000
# Per mille of all; what is seen of each, and how it stands.
COURSES: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (900, "CONFIRMED", ("OrderPlaced", "InventoryReserved", "PaymentProcessed", "OrderConfirmed")),
    (50, "CANCELLED", ("OrderPlaced", "InventoryRejected", "OrderCancelled")),
    (20, "PENDING", ("OrderPlaced", "InventoryReserved")),
    (10, "PENDING", ("OrderPlaced", "InventoryReserved", "PaymentFailed")),
    (10, "PENDING", ("InventoryReserved", "OrderPlaced", "OrderCancelling", "PaymentRefundFailed")),
    (10, "PENDING", ("InventoryReserved",)),
)


def documents(count: int) -> list[dict[str, Any]]:
    chance = random.Random(5)
    made = []
    for number in range(count):
        _, status, seen = chance.choices(COURSES, [share for share, _, _ in COURSES])[0]
        # Several in the same millisecond.
        at = timestamp(START + timedelta(seconds=number // 3))
        document: dict[str, Any] = {
            "_id": order_id(chance.getrandbits(128)),
            "version": 1,
            "status": status,
            "reason": "OUT_OF_STOCK" if status == "CANCELLED" else None,
            "history": [{"event": event, "at": at} for event in seen],
            "updatedAt": at,
            "endedBy": None,
            "cancelledBy": None,
            "acceptedAt": at if "OrderPlaced" in seen else None,
        }
        if "OrderPlaced" in seen:
            document |= {
                "userId": f"u{chance.randrange(USERS)}",
                "items": [["p", 1, 100]],
                "total": 100,
                "country": None,
                "placedAt": START,
                "fingerprint": "f",
            }
        made.append(document)
    return made


@pytest.fixture
async def stored(database: Database) -> list[dict[str, Any]]:
    await ensure_indexes(database)
    made = documents(ORDERS_STORED)
    await database[ORDERS].insert_many(made)
    return made


def newest_first(made: list[dict[str, Any]], wanted: Callable[[Any], bool]) -> list[str]:
    found = [d for d in made if wanted(d)]
    found.sort(key=lambda d: (d["acceptedAt"] or "", d["_id"]), reverse=True)
    return [d["_id"] for d in found]


async def walk(page_after: Callable[[Position | None], Any]) -> list[str]:
    found: list[str] = []
    position: Position | None = None
    while True:
        page: Page = await page_after(position)
        found += [order.order_id for order in page.orders]
        position = page.last
        if position is None:
            return found


@pytest.mark.parametrize("user", [None, "u7"])
@pytest.mark.parametrize("status", [None, OrderStatus.PENDING, OrderStatus.CONFIRMED])
async def test_the_pages_of_orders_are_all_orders_newest_first(
    database: Database, stored: list[dict[str, Any]], user: str | None, status: OrderStatus | None
) -> None:
    found = await walk(
        lambda after: orders_page(database, user_id=user, status=status, after=after, limit=70)
    )

    assert found == newest_first(
        stored,
        lambda d: (
            "items" in d
            and (user is None or d["userId"] == user)
            and (status is None or d["status"] == status)
        ),
    )


@pytest.mark.parametrize("state", list(SagaState))
async def test_the_pages_of_sagas_are_those_in_the_state(
    database: Database, stored: list[dict[str, Any]], state: SagaState
) -> None:
    before = timestamp(START + timedelta(seconds=800))
    found = await walk(
        lambda after: sagas_page(
            database, INVENTORY_FIRST, state=state, before=before, after=after, limit=7
        )
    )

    assert found == newest_first(
        stored,
        lambda d: (
            INVENTORY_FIRST.state({entry["event"] for entry in d["history"]}) is state
            and d["history"][0]["at"] < before
        ),
    )
    assert bool(found)


async def test_indexes_are_created_once_over_what_is_there(database: Database) -> None:
    await database[ORDERS].insert_many(documents(50))
    for _ in range(2):
        await ensure_indexes(database)

    for name, indexes in INDEXES.items():
        there = set(await database[name].index_information())
        assert {index.document["name"] for index in indexes} | {"_id_"} == there
    page = await orders_page(database, status=OrderStatus.CONFIRMED, limit=10)
    assert 10 == len(page.orders)


async def test_a_page_costs_no_more_among_many_orders(database: Database) -> None:
    await ensure_indexes(database)
    made = documents(20_000)
    await database[ORDERS].insert_many(made)
    users = Counter(d["userId"] for d in made if "userId" in d)
    deep = Position(timestamp(START + timedelta(seconds=3000)), order_id(0))

    async def seconds(**query: Any) -> float:
        best = 1.0
        for _ in range(5):
            began = time.perf_counter()
            page = await orders_page(database, limit=20, **query)
            best = min(best, time.perf_counter() - began)
            assert 20 == len(page.orders)
        return best

    small = await seconds(status=OrderStatus.PENDING)
    for query in (
        {},
        {"after": deep},
        {"user_id": max(users, key=lambda user: users[user])},
        {"status": OrderStatus.CONFIRMED, "after": deep},
    ):
        # Reading all of them takes a hundred times as long.
        assert await seconds(**query) < 10 * small + 0.01


async def test_users_are_kept_listed_and_refused_twice(database: Database) -> None:
    users = UserStore(database)
    made = [User(f"u{n}", "A", "a@b.cd", START) for n in range(5)]
    for user in reversed(made):
        assert await users.add(user)

    assert not await users.add(User("u3", "B", "b@b.cd", START))
    assert made[3] == await users.get("u3")
    assert await users.get("u9") is None
    assert made[1:3] == list(await users.page(after="u0", limit=2))
