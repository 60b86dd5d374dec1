"""How many calls a batch makes, counted by the drivers and servers themselves."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import monitoring

from app.agents.inventory import InventoryService
from app.agents.order import OrderService
from app.agents.payment import PaymentService
from app.codec import decode
from app.events import Event, Item, OrderPlaced, timestamp
from app.providers.simulated import SimulatedProvider
from app.resources import Resources, utc_now
from app.saga import INVENTORY_FIRST
from app.settings import Settings
from app.stores.repositories import LEDGER, STOCK
from app.stores.stock import StockStore
from app.streaming import OutRecord
from app.topics import BY_NAME
from infra.local.testing import LocalServers

pytestmark = pytest.mark.timeout(60)
ORDERS = 200


class Commands(monitoring.CommandListener):
    """Counts the commands that the MongoDB driver sends, by collection."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[str, Any]] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in event.command:
            self.sent[event.command_name, event.command[event.command_name]] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass

    def taken(self) -> dict[tuple[str, Any], int]:
        sent, self.sent = dict(self.sent), Counter()
        return {
            call: n
            for call, n in sent.items()
            if call[0] in ("find", "insert", "update", "getMore")
        }


@dataclass
class Bench:
    resources: Resources
    commands: Commands = field(default_factory=Commands)

    async def scripts(self) -> int:
        stats = await self.resources.redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


@pytest.fixture
async def bench(local_servers: LocalServers) -> AsyncIterator[Bench]:
    commands = Commands()
    monitoring.register(commands)
    name = f"calls_{uuid.uuid4().hex[:8]}"
    settings = Settings(
        mongodb_url=local_servers.mongodb_url.replace("/orderflow", f"/{name}"),
        redis_url=local_servers.redis_url,
    )
    resources = Resources.connect(settings)
    yield Bench(resources, commands)
    await resources.close()


def events(out: list[OutRecord]) -> list[Event]:
    return [decode(BY_NAME[r.topic], r.key, r.value, r.headers) for r in out]


async def test_a_batch_of_two_hundred_orders_takes_a_handful_of_calls_at_each_step(
    bench: Bench,
) -> None:
    resources = bench.resources
    await StockStore(resources.database[STOCK]).put({f"p{n}": 1000 for n in range(50)})
    inventory = InventoryService(resources, INVENTORY_FIRST)
    payment = PaymentService(
        resources, INVENTORY_FIRST, SimulatedProvider(resources.database[LEDGER])
    )
    orders = OrderService(resources, INVENTORY_FIRST)
    placed = [
        Event.first(
            OrderPlaced.model_construct(
                order_id=str(uuid.uuid4()),
                user_id="alice",
                items=(
                    Item.model_construct(product_id=f"p{n % 50}", quantity=1, price=100),
                    Item.model_construct(product_id=f"p{(n + 7) % 50}", quantity=1, price=100),
                ),
                total=200,
                country=None,
                placed_at=utc_now(),
                fingerprint=None,
            ),
            source="order",
            at=timestamp(utc_now()),
        )
        for n in range(ORDERS)
    ]
    bench.commands.taken()

    scripts = await bench.scripts()
    reserved = events(await inventory.handle(placed))
    assert ORDERS == len(reserved)
    assert {
        ("find", "reservations"): 1,
        ("find", "stock"): 1,
        ("update", "stock"): 1,
        ("insert", "reservations"): 1,
    } == _without_further_pages(bench.commands.taken())
    assert await bench.scripts() - scripts <= 4, "acquire and release, each loaded once"

    paid = events(await payment.handle(reserved))
    assert {
        ("find", "payments"): 1,
        ("find", "provider_ledger"): 1,
        ("insert", "provider_ledger"): 1,
        ("insert", "payments"): 1,
    } == _without_further_pages(bench.commands.taken())

    ended = events(await orders.handle([*placed, *reserved, *paid]))
    assert {"OrderConfirmed"} == {event.type for event in ended}
    assert {("find", "orders"): 1, ("insert", "orders"): 1} == _without_further_pages(
        bench.commands.taken()
    )

    await inventory.handle(ended)
    assert {
        ("find", "reservations"): 1,
        ("find", "stock"): 1,
        ("update", "stock"): 1,
        ("update", "reservations"): 1,
    } == _without_further_pages(bench.commands.taken())


def _without_further_pages(calls: dict[tuple[str, Any], int]) -> dict[tuple[str, Any], int]:
    pages = sum(n for (name, _), n in calls.items() if name == "getMore")
    assert pages <= 4, "a query's answer comes in pages of the driver's size"
    return {call: n for call, n in calls.items() if call[0] != "getMore"}
