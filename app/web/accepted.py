"""Orders just accepted: known to every worker before the order service has stored them."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.order import HistoryEntry, Order
from app.events import Event, OrderPlaced
from app.stores.errors import TransientStoreError
from app.stores.idempotency import Fresh, Keys, Note

logger = logging.getLogger(__name__)

KEY_PREFIX = "orderflow:accepted:"
# Storing takes milliseconds; this outlasts a rebalance with a long backlog behind it.
TTL_SECONDS = 300.0
# The order is already in the log: a slow Redis may not hold the answer back for long.
REMEMBER_TIMEOUT_SECONDS = 0.5
# Larger orders are remembered by id alone.
REMEMBERED_BYTES = 16_384
LOCAL_ORDERS = 2_000


@dataclass(frozen=True, slots=True)
class Known:
    """An accepted order; `order` is None where only its id was remembered."""

    order: Order | None


class AcceptedOrders:
    """In Redis for every worker, and in a bounded memory of this one for when Redis is away."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._local: OrderedDict[str, bytes] = OrderedDict()
        self._noting: set[asyncio.Future[None]] = set()

    async def remember(self, event: Event, *, claim: Fresh | None, answer: bytes) -> None:
        """Note that the order was accepted and, under a claim, what was answered.

        Never fails: an order in the log is accepted, whoever forgets it.
        """
        value = remembered(event)
        self._local[event.order_id] = value
        if len(self._local) > LOCAL_ORDERS:
            self._local.popitem(last=False)
        noting = asyncio.ensure_future(self._note(event.order_id, value, claim, answer))
        self._noting.add(noting)
        noting.add_done_callback(self._noting.discard)
        # Beyond that it goes on by itself, within the client's own time limit.
        await asyncio.wait((noting,), timeout=REMEMBER_TIMEOUT_SECONDS)

    async def _note(self, order_id: str, value: bytes, claim: Fresh | None, answer: bytes) -> None:
        note = Note(KEY_PREFIX + order_id, value, TTL_SECONDS)
        try:
            if claim is not None:
                await self._keys.complete(claim, answer, note=note)
            else:
                await self._redis.set(note.key, note.value, px=int(note.ttl_seconds * 1000))
        except (TransientStoreError, RedisError, OSError, TimeoutError) as error:
            logger.warning("order %s is remembered by this worker only: %r", order_id, error)

    async def known(self, order_id: str) -> Known | None:
        """The accepted order, None where no such was accepted of late.

        Raises:
            TransientStoreError: this worker does not know it, and Redis can't be asked.
        """
        value: Any = self._local.get(order_id)
        if value is None:
            try:
                value = await self._redis.get(KEY_PREFIX + order_id)
            except (RedisError, OSError, TimeoutError) as error:
                raise TransientStoreError(f"Redis: {error}") from error
        return None if value is None else Known(_order(value))


def remembered(event: Event) -> bytes:
    """An `OrderPlaced` with its time; nothing but its being there for a large one."""
    data = event.data.model_dump_json(by_alias=True, exclude_none=True).encode()
    value = orjson.dumps({"at": event.time, "order": orjson.Fragment(data)})
    return value if len(value) <= REMEMBERED_BYTES else b"{}"


def _order(value: bytes) -> Order | None:
    content = orjson.loads(value)
    if not content:
        return None
    placed = OrderPlaced.model_validate(content["order"])
    heard = HistoryEntry(OrderPlaced.__name__, content["at"])
    return Order(placed.order_id, placed, history=(heard,))
