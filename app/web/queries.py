"""The reads that only the web asks for."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from app.domain.inventory import Stock
from app.domain.order import Order, OrderStatus
from app.stores import stock
from app.stores.mongo import Database, documents, translated
from app.stores.repositories import ORDERS, STOCK, decode_order

FindOrders = Callable[[Collection[str]], Awaitable[Mapping[str, Order]]]

ENDED: Mapping[str, Any] = {
    "status": {"$in": [OrderStatus.CONFIRMED.value, OrderStatus.CANCELLED.value]}
}
# A document of which only steps were heard has no items yet.
STORED: Mapping[str, Any] = {"items": {"$exists": True}}


def finder(database: Database, condition: Mapping[str, Any]) -> FindOrders:
    """A query for those of many orders that exist and meet `condition`."""

    async def find(order_ids: Collection[str]) -> Mapping[str, Order]:
        query = {"_id": {"$in": list(order_ids)}, **condition}
        return {d["_id"]: decode_order(d) async for d in documents(database[ORDERS], query)}

    return find


async def stock_page(database: Database, *, after: str | None, limit: int) -> Sequence[Stock]:
    """At most `limit` products by id, those after the product `after`."""
    query: dict[str, Any] = {} if after is None else {"_id": {"$gt": after}}
    with translated():
        cursor = database[STOCK].find(query).sort("_id", 1).limit(limit)
        return [stock.decode(document) async for document in cursor]
