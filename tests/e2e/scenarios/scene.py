"""What a scenario does, as a client, and what it finds in log, shelf, payments and books."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from app import books
from app.codec import decode
from app.money import to_major
from app.topics import BY_NAME, INVENTORY, ORDER, PAYMENT
from app.web.acceptance import derived_id
from tests.e2e.scenarios.provider import ProviderProcess
from tests.e2e.scenarios.stage import Stage
from tests.kafka import eventually, producing, read_all
from tests.shop import Shop, order

END_SECONDS = 60
SAGA_TOPICS = (ORDER.name, INVENTORY.name, PAYMENT.name)
USER = "alice"
PRICE = 1.25
ABSENT = None
"""The payment of an order for which nothing was charged or refused."""


@dataclass(frozen=True)
class Basket:
    """An order that may be posted; its id is known before it is."""

    body: Mapping[str, Any]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def id(self) -> str:
        return derived_id(USER, self.key)


class Scene:
    """One scenario. Its products are its own, so that shelves need no cleaning."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.saga = stage.saga
        self.shop: Shop = stage.shop
        self.provider: ProviderProcess = stage.provider
        self._session = session
        self._mark = uuid.uuid4().hex[:8]

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Ask the gateway."""
        async with self._session.request(
            method, self.shop.url + path, json=body, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def stock(self, **units: int) -> None:
        """Put products on the shelf."""
        await self.shop.stock({self._product(name): count for name, count in units.items()})

    def basket(self, **units: int) -> Basket:
        """An order of so many of each product."""
        lines = ((self._product(name), count) for name, count in units.items())
        return Basket(order(*lines, price=PRICE, user=USER))

    async def post(self, basket: Basket) -> str:
        """Post it; its id."""
        status, answer = await self.ask(
            "POST", "/orders", basket.body, **{"Idempotency-Key": basket.key}
        )
        assert (202, basket.id) == (status, answer.get("orderId")), answer
        return basket.id

    async def place(self, **units: int) -> str:
        """Post an order of so many of each product; its id."""
        return await self.post(self.basket(**units))

    async def undoing(self) -> tuple[str, str]:
        """An order whose second step failed, and whose first is not undone: its service is held.

        Also the reason that it is cancelled for. The shelf has one lamp.
        """
        first, second = self.saga.steps
        await self.stock(lamp=1)
        declined = second.name == "payment"
        basket = self.basket(lamp=1 if declined else 2)
        if declined:
            await self.provider.tricks(basket.id, charge=["decline"])
        with self.stage.held(second.name):
            order_id = await self.post(basket)
            await self.noted(order_id, first.done)
            self.stage.hold(first.name)
        await self.noted(order_id, second.failed)
        return order_id, "PAYMENT_FAILED" if declined else "OUT_OF_STOCK"

    async def paying(self) -> str:
        """An order of two of ten lamps, whose payment is under way until the provider is loud; then
        it is charged."""
        await self.stock(lamp=10)
        basket = self.basket(lamp=2)
        await self.provider.silent(basket.id)
        # Nor may the charge be withdrawn, for as long as a busy machine may take.
        await self.provider.tricks(basket.id, withdraw=["drop"] * 100)
        order_id = await self.post(basket)
        await self.provider.called(order_id)
        return order_id

    async def cancel(self, order_id: str) -> int:
        """Ask for it to be cancelled; the status of the answer."""
        return (await self.ask("POST", f"/orders/{order_id}/cancel"))[0]

    async def said(self, order_id: str, *types: str) -> None:
        """Wait until these events of the order are in the log: the audit hears them there."""
        with self.shop.database() as database:

            async def all_said() -> bool:
                found = await database.audit.distinct("type", {"orderId": order_id})
                return set(types) <= set(found)

            await eventually(all_said, END_SECONDS, f"{types} in the log", every=0.05)

    async def noted(self, order_id: str, *types: str) -> None:
        """Wait until the order service has heard these events of the order."""
        await self.all_noted({order_id: types})

    async def all_noted(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Wait until the order service has heard these events, by order."""
        with self.shop.database() as database:

            async def noted() -> bool:
                found = database.orders.find({"_id": {"$in": list(wanted)}}, {"history": 1})
                heard = {o["_id"]: {each["event"] for each in o["history"]} async for o in found}
                return all(heard.get(o, set()) >= set(types) for o, types in wanted.items())

            await eventually(noted, END_SECONDS, "the order service hears them", every=0.05)

    async def end(self, order_id: str) -> tuple[str, str | None]:
        """Wait for the order's end; status and reason."""
        ends = await self.shop.all_end([order_id], END_SECONDS)
        status, reason = ends[order_id]
        return status, reason

    async def log(self, *order_ids: str, alike: bool = True) -> dict[str, list[str]]:
        """Of each order, the types of its different events, in alphabetical order.

        An event that is in the log several times says the same each time, unless not `alike`.
        """
        found: dict[str, dict[str, tuple[str, bytes]]] = defaultdict(dict)
        for record in await self.records(*order_ids):
            event = decode(BY_NAME[record.topic], record.key, record.value, record.headers)
            known = found[event.order_id].setdefault(event.id, (event.type, record.value))
            assert not alike or known == (event.type, record.value), event.id
        return {each: sorted(type_ for type_, _ in found[each].values()) for each in order_ids}

    async def records(self, *order_ids: str) -> list[Any]:
        """The orders' records."""
        keys = {order_id.encode() for order_id in order_ids}
        records = await read_all(self.shop.servers.kafka, *SAGA_TOPICS)
        return [record for record in records if record.key in keys]

    async def copy(self, *records: Any) -> None:
        """Put a copy of each record at a new offset, those of an order and topic in this order."""
        async with producing(self.shop.servers.kafka) as producer:
            deliveries = [
                await producer.send(
                    record.topic, value=record.value, key=record.key, headers=list(record.headers)
                )
                for record in records
            ]
            await asyncio.gather(*deliveries)

    async def shelf(self) -> dict[str, tuple[int, dict[str, int], int]]:
        """Of each product of this scenario: available, holds, sold."""
        with self.shop.database() as database:
            found = database.stock.find({"_id": {"$regex": f"-{self._mark}$"}})
            return {
                each["_id"].removesuffix(f"-{self._mark}"): (
                    each["available"],
                    each["holds"],
                    each["sold"],
                )
                async for each in found
            }

    async def payment(self, order_id: str) -> str | None:
        """What `GET /payments/{orderId}` says; None for 404."""
        status, answer = await self.ask("GET", f"/payments/{order_id}")
        assert status in (200, 404), answer
        return str(answer["status"]) if status == 200 else ABSENT

    async def closes(self) -> None:
        """At rest the books balance, the provider's own among them: one charge a confirmed order,
        and nothing left of any other."""
        await self.shop.at_rest()
        with self.shop.database() as database:
            found = await books.load(database, ledger=False)
            confirmed = {
                each["_id"]: [to_major(each["total"])]
                async for each in database.orders.find({"status": "CONFIRMED"})
            }
        assert [] == found.discrepancies
        ledger = await self.provider.entries()
        assert {1} >= {len(entries) for entries in ledger.values()}, "one key an order"
        entries = {order_id: entry for order_id, (entry,) in ledger.items()}
        assert all(len(e.charged) <= 1 and len(e.refunded) <= 1 for e in entries.values())
        assert all(e.refunded in ([], e.charged) for e in entries.values())
        assert confirmed == {
            order_id: entry.charged
            for order_id, entry in entries.items()
            if entry.charged and not entry.refunded and not entry.withdrawn
        }

    def _product(self, name: str) -> str:
        return f"{name}-{self._mark}"
