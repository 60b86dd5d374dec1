"""Stock documents: one a product, each write refused where a higher fencing token was seen."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from app.domain.inventory import Stock
from app.stores.errors import ConflictError, OversoldError
from app.stores.mongo import Collection, Document, translated


class StockStore:
    """The shelf. Reads and writes many products at a time.

    Args:
        on_refused: told how many products were not written, because of their fences or because
            they would be oversold.
    """

    def __init__(
        self, collection: Collection, *, on_refused: Callable[[int], None] = lambda products: None
    ) -> None:
        self.collection = collection
        self._on_refused = on_refused

    async def load(self, products: Iterable[str]) -> dict[str, Stock]:
        """The stock of each product that exists, in one query."""
        wanted = list(products)
        if not wanted:
            return {}
        with translated():
            found = self.collection.find({"_id": {"$in": wanted}})
            return {document["_id"]: decode(document) async for document in found}

    async def save(
        self, before: Mapping[str, Stock], after: Mapping[str, Stock], token: int
    ) -> None:
        """Write the products of `after` in one bulk write, each with `token` as its new fence.

        A write finds its document only with the fence that was read under the lock: whoever wrote
        since then did so with a higher token.

        Raises:
            ConflictError: at least one product has seen a higher token. Others may have been
                written: load and decide again.
            OversoldError: more of a product would be held or sold than there is, which no decision
                says; nothing was written.
        """
        if not after:
            return
        late = [product for product in after if before[product].fence >= token]
        if late:
            self._on_refused(len(late))
            raise ConflictError(f"fencing token {token} is older than a write that was seen")
        oversold = [product for product in after if oversells(before[product], after[product])]
        if oversold:
            self._on_refused(len(oversold))
            raise OversoldError(f"{', '.join(oversold)}: less than nothing would be left")
        writes = [
            UpdateOne(
                {"_id": product, "fence": before[product].fence},
                changes(before[product], stock, token),
            )
            for product, stock in after.items()
        ]
        with translated():
            result = await self.collection.bulk_write(writes, ordered=False)
        if result.matched_count != len(writes):
            refused = len(writes) - result.matched_count
            self._on_refused(refused)
            raise ConflictError(f"{refused} products were written with a higher fencing token")

    async def put(self, levels: Mapping[str, int]) -> int:
        """Create products that don't exist, with so many units available; how many were made."""
        writes = [
            UpdateOne(
                {"_id": product},
                {
                    "$setOnInsert": {
                        "available": units,
                        "holds": {},
                        "sold": 0,
                        "fence": 0,
                        "initial": units,
                    }
                },
                upsert=True,
            )
            for product, units in levels.items()
        ]
        if not writes:
            return 0
        with translated():
            return (await self.collection.bulk_write(writes, ordered=False)).upserted_count

    async def set_available(
        self, product: str, before: Stock | None, available: int, token: int, at: str
    ) -> Stock:
        """Set how many units are available, under the product's lock; creates a missing product.

        What there was at first moves along, so that the books still balance. The change is noted in
        the same write as `lastSet`, from where it goes into the product's history.

        Raises:
            ConflictError: the product has seen a higher token, or exists meanwhile.
        """
        change = {
            "at": at,
            "before": before.available if before else 0,
            "after": available,
            "token": token,
        }
        if before is None:
            made = Stock(product, available, fence=token)
            document = {
                "_id": product,
                "available": available,
                "holds": {},
                "sold": 0,
                "fence": token,
                "initial": available,
                "lastSet": change,
            }
            with translated():
                try:
                    await self.collection.insert_one(document)
                except DuplicateKeyError as error:
                    self._on_refused(1)
                    raise ConflictError(f"{product} exists meanwhile") from error
            return made
        if before.fence >= token:
            self._on_refused(1)
            raise ConflictError(f"fencing token {token} is older than a write that was seen")
        with translated():
            result = await self.collection.update_one(
                {"_id": product, "fence": before.fence},
                {
                    "$set": {"available": available, "fence": token, "lastSet": change},
                    "$inc": {"initial": available - before.available},
                },
            )
        if not result.matched_count:
            self._on_refused(1)
            raise ConflictError(f"{product} was written with a higher fencing token")
        return replace(before, available=available, fence=token)


def oversells(before: Stock, after: Stock) -> bool:
    """Whether the change takes what is not there. What somebody has set below zero by other means
    may stay there, or come back."""
    return after.available < min(before.available, 0)


def changes(before: Stock, after: Stock, token: int) -> Document:
    """The update that leads from one stock to the other; only the holds that changed are named."""
    added = {
        f"holds.{order}": units
        for order, units in after.holds.items()
        if before.holds.get(order) != units
    }
    removed = {f"holds.{order}": "" for order in before.holds.keys() - after.holds.keys()}
    update: Document = {
        "$set": {"fence": token, "available": after.available, "sold": after.sold, **added}
    }
    if removed:
        update["$unset"] = removed
    return update


def decode(document: Mapping[str, Any]) -> Stock:
    """The stock of a document."""
    return Stock(
        product_id=document["_id"],
        available=document["available"],
        holds=document["holds"],
        sold=document["sold"],
        fence=document["fence"],
    )
