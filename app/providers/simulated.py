"""A payment provider that lives in this process and keeps its own books.

Its ledger is a collection nobody else writes: one entry a charge, keyed by the idempotency key it
was given, so a check of the ledger shows whether any order was charged twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil

from pymongo import InsertOne, UpdateOne

from app.domain.payment import Action, Request, Result
from app.domain.simulation import fails
from app.events import timestamp
from app.resources import Clock, utc_now
from app.settings import Settings
from app.stores.mongo import Collection, Document, translated

DECLINED = "the card was declined"
REFUSED = "the refund was refused; ask again"


class SimulatedProvider:
    """Declines a seeded share of the orders, after a delay.

    Args:
        ledger: entries `{_id: idempotency key, orderId, amount, ok, at, refundedAt?}`.
        failure_rate: share of orders that are declined, 0 to 1.
        refund_failure_rate: share of attempts at a refund that are refused, 0 to 1.
        delay: seconds a call takes; `concurrency` of them run at once.
    """

    def __init__(
        self,
        ledger: Collection,
        *,
        failure_rate: float = 0.0,
        refund_failure_rate: float = 0.0,
        delay: float = 0.0,
        seed: int = 0,
        concurrency: int = 100,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._failure_rate = failure_rate
        self._refund_failure_rate = refund_failure_rate
        self._delay = delay
        self._seed = seed
        self._concurrency = concurrency
        self._clock = clock
        self._sleep = sleep

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Collection) -> "SimulatedProvider":
        """The provider that the settings describe."""
        return cls(
            ledger,
            failure_rate=settings.payment_failure_rate,
            refund_failure_rate=settings.payment_refund_failure_rate,
            delay=settings.payment_delay_seconds,
            seed=settings.payment_seed,
            concurrency=settings.payment_concurrency,
        )

    async def call(self, requests: Sequence[Request]) -> Sequence[Result]:
        """Enter each request in the ledger, once; answer from the ledger."""
        if self._delay:
            for _ in range(ceil(len(requests) / self._concurrency)):
                await self._sleep(self._delay)
        entries = await self._entries(requests)
        now = timestamp(self._clock())
        writes: list[InsertOne[Document] | UpdateOne] = []
        refused = {r.order_id for r in requests if self._refuses(r)}
        for request in requests:
            entry = entries.get(request.order_id)
            if request.action is Action.CHARGE and entry is None:
                entries[request.order_id] = entry = self._charge(request, now)
                writes.append(InsertOne(entry))
            elif request.order_id in refused:
                continue
            elif entry is None:
                entries[request.order_id] = entry = self._withdrawn(request, now)
                writes.append(InsertOne(entry))
            elif request.action is not Action.CHARGE and _refundable(entry):
                writes.append(UpdateOne({"_id": request.order_id}, {"$set": {"refundedAt": now}}))
        if writes:
            with translated():
                await self._ledger.bulk_write(writes, ordered=False)
        return [
            Result(ok=False, detail=REFUSED)
            if request.order_id in refused
            else self._result(request, entries[request.order_id])
            for request in requests
        ]

    def _refuses(self, request: Request) -> bool:
        step = f"refund:{request.attempt}"
        return request.action is Action.REFUND and fails(
            self._seed, step, request.order_id, self._refund_failure_rate
        )

    async def _entries(self, requests: Sequence[Request]) -> dict[str, Document]:
        keys = [request.order_id for request in requests]
        with translated():
            found = self._ledger.find({"_id": {"$in": keys}})
            return {entry["_id"]: entry async for entry in found}

    def _charge(self, request: Request, now: str) -> Document:
        declined = fails(self._seed, "payment", request.order_id, self._failure_rate)
        return {
            "_id": request.order_id,
            "orderId": request.order_id,
            "amount": request.amount,
            "ok": not declined,
            "at": now,
        }

    def _withdrawn(self, request: Request, now: str) -> Document:
        """Takes the place of a charge that was never made, so that none can be made any more."""
        return {
            "_id": request.order_id,
            "orderId": request.order_id,
            "amount": request.amount,
            "ok": False,
            "at": now,
        }

    def _result(self, request: Request, entry: Document) -> Result:
        if request.action is not Action.CHARGE:
            return Result(ok=True)
        if not entry["ok"]:
            return Result(ok=False, detail=DECLINED)
        return Result(ok=True, payment_id=f"sim-{entry['_id']}")


def _refundable(entry: Document) -> bool:
    return bool(entry["ok"]) and "refundedAt" not in entry
