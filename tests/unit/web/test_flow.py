"""`/sagas/flow`: who waits where."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from app.domain.order import OrderStatus
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Saga
from app.stores.listing import Course
from app.web import flow
from app.web.flow import FlowViews, steps_of
from app.web.problems import unavailable
from tests.unit.web.conftest import World
from tests.unit.web.test_sagas import PLACED, store

NOW = datetime(2026, 1, 31, 12, 0, 10, tzinfo=UTC)
TOTALS = {"confirmed": 3, "cancelled": 2, "cancelledBy": {"OUT_OF_STOCK": 2}, "revenue": 1.0}


def course(*events: str, second: int = 0) -> Course:
    return Course(frozenset(events), f"2026-01-31T12:00:{second:02d}.000000Z")


COURSES = [
    course("OrderPlaced", second=4),
    course("OrderPlaced", second=2),
    course("OrderPlaced", "InventoryReserved", second=9),
    course("OrderPlaced", "InventoryReserved", "PaymentFailed", second=8),
    course("OrderPlaced", "InventoryReserved", "OrderCancelling", "PaymentRefunded", second=7),
    course("InventoryReserved", second=6),
]


def test_each_order_is_counted_at_the_step_that_it_waits_for() -> None:
    assert [
        {"step": "order", "direction": "forward", "waiting": 1, "oldestSeconds": 4.0},
        {"step": "inventory", "direction": "forward", "waiting": 2, "oldestSeconds": 8.0},
        {"step": "payment", "direction": "forward", "waiting": 1, "oldestSeconds": 1.0},
        {"step": "payment", "direction": "back", "waiting": 0},
        {"step": "inventory", "direction": "back", "waiting": 2, "oldestSeconds": 3.0},
    ] == steps_of(COURSES, INVENTORY_FIRST, NOW)


def test_what_is_cancelled_is_undone_from_the_last_step_back() -> None:
    cancelled = course(*PLACED, "OrderCancelling")

    def at(saga: Saga) -> list[tuple[str, str]]:
        steps = steps_of([cancelled], saga, NOW)
        return [(each["step"], each["direction"]) for each in steps if each["waiting"]]

    assert [("payment", "back")] == at(INVENTORY_FIRST)
    assert [("inventory", "back")] == at(PAYMENT_FIRST)


def test_a_clock_that_is_behind_makes_nobody_wait_less_than_nothing() -> None:
    late = course("OrderPlaced", second=59)

    assert 0.0 == steps_of([late], INVENTORY_FIRST, NOW)[1]["oldestSeconds"]


class Asked:
    """Stores that count how often they are asked."""

    def __init__(self, courses: list[Course] | None = None) -> None:
        self.courses = courses or []
        self.times = 0
        self.seconds = 0.0
        self.totals: Any = TOTALS
        self.views = FlowViews(
            self.pending, self.summary, INVENTORY_FIRST, lambda: NOW, lambda: self.seconds
        )

    async def pending(self, limit: int) -> list[Course]:
        self.times += 1
        await asyncio.sleep(0)
        return self.courses[:limit]

    async def summary(self) -> Any:
        if isinstance(self.totals, Exception):
            raise self.totals
        return self.totals

    async def get(self) -> bytes:
        request: Any = None
        response = await self.views.get(request)
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        return response.body


async def test_many_who_ask_cost_one_look_a_second() -> None:
    asked = Asked()

    await asyncio.gather(*(asked.get() for _ in range(20)))
    await asked.get()
    assert 1 == asked.times

    asked.seconds = flow.KEPT_SECONDS
    await asked.get()
    assert 2 == asked.times


async def test_a_failure_is_not_kept() -> None:
    asked = Asked()
    asked.totals = ValueError("away")
    with pytest.raises(ValueError, match="away"):
        await asked.get()

    asked.totals = TOTALS
    assert b'"confirmed":3' in await asked.get()


async def test_without_totals_it_says_what_waits() -> None:
    asked = Asked(COURSES)
    asked.totals = unavailable("moving")

    body = await asked.get()
    assert b'"pending":6,"confirmed":null' in body
    assert b'"partial":true' in body


async def test_so_many_are_looked_at_and_it_says_that_there_are_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow, "LOOKED_AT_MOST", 4)
    more, all_of = await Asked(COURSES).get(), await Asked(COURSES[:4]).get()

    assert b'"pending":4' in more
    assert b'"atLeast":true' in more
    assert b"atLeast" not in all_of


async def test_the_flow_is_answered_and_is_no_order_of_that_id(world: World) -> None:
    store(world, "OrderPlaced", "InventoryReserved")
    store(world, *PLACED, "OrderConfirmed", status=OrderStatus.CONFIRMED)

    response = await world.get("/sagas/flow")

    assert 200 == response.status
    told = await response.json()
    assert 1 == told["pending"]
    (waiting,) = [each for each in told["steps"] if each["waiting"]]
    assert ("payment", "forward") == (waiting["step"], waiting["direction"])
