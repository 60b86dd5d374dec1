"""Who sets a product's stock by hand leaves a trace: a bounded history for each product.

The stock document itself holds the last change, written together with the stock; it is copied here
afterwards. A crash between the two loses nothing: the copy is made by whoever sets the stock next,
and whoever reads before sees the last change from where it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.stores.mongo import Database, translated
from app.stores.repositories import STOCK, STOCK_HISTORY

# Changes kept of each product; older ones are forgotten.
CHANGES_KEPT = 1000


@dataclass(frozen=True, slots=True)
class StockChange:
    """Units available before and after; `token` is the fencing token of the write."""

    at: str
    before: int
    after: int
    token: int


class StockHistory:
    """The changes of each product, by their fencing tokens.

    Args:
        kept: so many of each product.
    """

    def __init__(self, database: Database, *, kept: int = CHANGES_KEPT) -> None:
        self._stock = database[STOCK]
        self._changes = database[STOCK_HISTORY]
        self._kept = kept

    async def copy_last(self, product: str) -> None:
        """Take over the last change from the product itself; done again, it does nothing."""
        change = await self._last(product)
        if change is None:
            return
        with translated():
            await self._changes.update_one(
                {"_id": f"{change.token}:{product}"},
                {
                    "$set": {
                        "productId": product,
                        "at": change.at,
                        "before": change.before,
                        "after": change.after,
                        "token": change.token,
                    }
                },
                upsert=True,
            )
        await self._trim(product)

    async def latest(self, product: str, limit: int) -> Sequence[StockChange]:
        """At most `limit` changes, the newest first."""
        last = await self._last(product)
        with translated():
            cursor = self._changes.find({"productId": product}).sort([("token", -1)]).limit(limit)
            found = [_decode(document) async for document in cursor]
        if last is not None and last not in found:
            found.insert(0, last)
        return found[:limit]

    async def _last(self, product: str) -> StockChange | None:
        with translated():
            async for document in self._stock.find({"_id": product}, {"lastSet": 1}):
                return _decode(document["lastSet"]) if "lastSet" in document else None
        return None

    async def _trim(self, product: str) -> None:
        mine = {"productId": product}
        with translated():
            surplus = self._changes.find(mine, {"token": 1}).sort([("token", -1)])
            async for document in surplus.skip(self._kept).limit(1):
                await self._changes.delete_many({**mine, "token": {"$lte": document["token"]}})


def _decode(document: Mapping[str, Any]) -> StockChange:
    return StockChange(document["at"], document["before"], document["after"], document["token"])
