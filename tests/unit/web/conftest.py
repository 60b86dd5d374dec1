"""The worker's real web server over hand-written servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import faust
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from app.domain.order import Order, OrderStatus, decide
from app.events import Event, InventoryReserved, OrderData, PaymentProcessed, order_data
from app.resources import Resources
from app.saga import INVENTORY_FIRST
from app.settings import Settings
from app.web import application_options, mount
from tests.openapi import Reference, of_worker
from tests.unit.web.fakes import FakeDatabase, FakeKeys, FakeLocks, FakeLog, FakeRedis

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
BODY: dict[str, Any] = {
    "userId": "u1",
    "items": [
        {"productId": "85123A", "quantity": 6, "price": 2.55},
        {"productId": "71053", "quantity": 1, "price": 3.39},
    ],
}
TOTAL = 18.69


@dataclass
class World:
    """The client, and what is behind the server."""

    client: TestClient[Any, Any]
    resources: Resources
    database: FakeDatabase
    redis: FakeRedis
    keys: FakeKeys
    locks: FakeLocks
    log: FakeLog
    services: dict[str, bool] = field(default_factory=lambda: {"order": True})

    async def post(self, body: Any = None, **headers: str) -> ClientResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/orders", json=body or BODY, headers=names)

    async def get(self, path: str, **headers: str) -> ClientResponse:
        return await self.client.get(path, headers=headers)

    def store(self, *, ended: bool = False) -> Order:
        """What the order service does with the last event of the log."""
        event = self.log.events[-1]
        order = heard(None, event)
        if ended:
            assert isinstance(event.data, OrderData)
            data = order_data(event.data)
            reserved = InventoryReserved.model_construct(**data)
            charged = PaymentProcessed.model_construct(**data, payment_id="p1")
            for done in (reserved, charged):
                order = heard(order, event.follow(done, source="x", at="2026-01-31T12:00:01Z"))
            assert order.status is OrderStatus.CONFIRMED
        self.database.store(order)
        return order


def heard(order: Order | None, event: Event) -> Order:
    after = decide(order, event, INVENTORY_FIRST, "2026-01-31T12:00:02.000000Z").state
    assert after is not None
    return after


SETTINGS = Settings(
    worker_name="worker-7",
    body_max_bytes=20_000,
    order_max_items=5,
    wait_max_seconds=30,
    waiters_max=2,
    wait_poll_seconds=0.001,
    # A busy machine does everything within these.
    produce_timeout_seconds=30.0,
    read_your_writes_seconds=30.0,
)
# For tests of what comes when they are over.
HURRIED = SETTINGS.model_copy(
    update={"produce_timeout_seconds": 0.2, "read_your_writes_seconds": 0.05}
)
hurried = pytest.mark.parametrize("world", [HURRIED], indirect=True, ids=["hurried"])


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with made_of(getattr(request, "param", SETTINGS)) as made:
        yield made


@asynccontextmanager
async def made_of(settings: Settings) -> AsyncIterator[World]:
    """A worker's web server with these settings."""
    database, redis, log = FakeDatabase(), FakeRedis(), FakeLog()
    keys, locks = FakeKeys(redis), FakeLocks()
    services = {"order": True}
    resources = Resources(
        settings,
        cast("Any", database),
        cast("Any", database),
        cast("Any", redis),
        clock=lambda: NOW,
        publish=log.publish,
        services_ready=lambda: services,
    )
    app = faust.App(
        "web-test",
        broker="kafka://127.0.0.1:1",
        store="memory://",
        autodiscover=False,
        web_application_options=application_options(settings),
    )
    mount(app, resources, keys, locks)
    app.web.init_server()
    reference = Reference(of_worker())
    app.web.web_app.on_response_prepare.append(reference.note)
    async with TestClient(TestServer(app.web.web_app)) as client:
        yield World(client, resources, database, redis, keys, locks, log, services)
    assert [] == reference.faults
