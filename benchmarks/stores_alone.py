"""The limit: a bare script that issues the writes a saga needs, with no Kafka, no Faust, no HTTP.

Each order costs what the services would write for it: the order's document (insert, then its end),
a hold and a sale on each product, a reservation (insert, then its end), a payment and the
provider's entry. One process, chunks of the size that the services batch.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence

from pymongo import InsertOne, UpdateOne

from app.resources import Resources
from app.retail import Sale
from app.settings import Settings
from app.stores.locks import FencedLocks
from app.stores.repositories import LEDGER, ORDERS, PAYMENTS, RESERVATIONS, STOCK
from benchmarks.measure import Usage
from benchmarks.results import Result

CHUNK = 500


async def run(job: str, settings: Settings, sales: Sequence[Sale]) -> Result:
    """Write all sales, chunk by chunk."""
    resources = Resources.connect(settings)
    before = Usage.of(os.getpid())
    began = time.monotonic()
    for start in range(0, len(sales), CHUNK):
        await _chunk(resources, sales[start : start + CHUNK])
    seconds = time.monotonic() - began
    after = Usage.of(os.getpid())
    done = await resources.database[ORDERS].count_documents({"status": "CONFIRMED"})
    await resources.close()
    return Result(
        job,
        "stores-alone",
        len(sales),
        seconds,
        after.cpu_seconds - before.cpu_seconds,
        after.peak_memory_mb,
        done == len(sales),
    )


async def _chunk(resources: Resources, chunk: Sequence[Sale]) -> None:
    database, ids = resources.database, [f"alone-{sale.invoice}" for sale in chunk]
    orders = [
        InsertOne(
            {
                "_id": key,
                "version": 1,
                "status": "PENDING",
                "userId": sale.user_id,
                "items": [[line.product_id, line.quantity, line.price] for line in sale.lines],
                "total": sale.total,
                "placedAt": sale.placed_at,
            }
        )
        for key, sale in zip(ids, chunk, strict=True)
    ]
    await asyncio.gather(
        database[ORDERS].bulk_write(orders, ordered=False),
        _stock(resources, ids, chunk),
    )
    await database[LEDGER].bulk_write(
        [
            InsertOne({"_id": k, "orderId": k, "amount": s.total, "ok": True})
            for k, s in zip(ids, chunk, strict=True)
        ],
        ordered=False,
    )
    await database[PAYMENTS].bulk_write(
        [
            InsertOne({"_id": k, "version": 1, "amount": s.total, "status": "CHARGED"})
            for k, s in zip(ids, chunk, strict=True)
        ],
        ordered=False,
    )
    await database[ORDERS].bulk_write(
        [
            UpdateOne({"_id": k, "version": 1}, {"$set": {"version": 2, "status": "CONFIRMED"}})
            for k in ids
        ],
        ordered=False,
    )
    await database[RESERVATIONS].bulk_write(
        [
            UpdateOne({"_id": k, "version": 1}, {"$set": {"version": 2, "status": "SETTLED"}})
            for k in ids
        ],
        ordered=False,
    )


async def _stock(resources: Resources, ids: Sequence[str], chunk: Sequence[Sale]) -> None:
    """Hold, reserve, and sell, each under the products' locks."""
    stock = resources.database[STOCK]
    holds: dict[str, Counter[str]] = {}
    for key, sale in zip(ids, chunk, strict=True):
        for line in sale.lines:
            holds.setdefault(line.product_id, Counter())[key] += line.quantity
    conf = resources.settings
    locks = FencedLocks(
        resources.redis, lease_seconds=conf.lock_lease_seconds, wait_seconds=conf.lock_wait_seconds
    )
    for selling in (False, True):
        lease = await locks.acquire(list(holds))
        found = {d["_id"]: d async for d in stock.find({"_id": {"$in": list(holds)}})}
        writes = []
        for product, wanted in holds.items():
            total, fence = wanted.total(), found[product]["fence"]
            change = (
                {"$inc": {"sold": total}, "$unset": {f"holds.{k}": "" for k in wanted}}
                if selling
                else {
                    "$inc": {"available": -total},
                    "$set": {f"holds.{k}": n for k, n in wanted.items()},
                }
            )
            change.setdefault("$set", {})["fence"] = lease.token
            writes.append(UpdateOne({"_id": product, "fence": fence}, change))
        await stock.bulk_write(writes, ordered=False)
        await locks.release(lease)
        if not selling:
            reservations = [
                InsertOne(
                    {
                        "_id": key,
                        "version": 1,
                        "status": "RESERVED",
                        "items": [[line.product_id, line.quantity] for line in sale.lines],
                    }
                )
                for key, sale in zip(ids, chunk, strict=True)
            ]
            await resources.database[RESERVATIONS].bulk_write(reservations, ordered=False)
