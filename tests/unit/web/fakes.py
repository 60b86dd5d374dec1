"""Servers by hand: as much of each as the web asks for, and each can be away."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

from pymongo.errors import AutoReconnect
from redis.exceptions import ConnectionError as RedisConnectionError

from app.domain.order import Order
from app.events import Event
from app.stores import repositories
from app.stores.errors import TransientStoreError
from app.stores.idempotency import Begun, Fresh, InFlight, Mismatch, Note, Replay

UNTIL_SECONDS = 5.0


async def until(condition: Callable[[], bool]) -> None:
    """Return once the server has come so far."""
    async with asyncio.timeout(UNTIL_SECONDS):
        while not condition():
            await asyncio.sleep(0)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, wanted: value in wanted,
    "$gt": lambda value, wanted: value is not None and value > wanted,
}


def matches(document: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    for field, wanted in query.items():
        value = document.get(field)
        condition = wanted if isinstance(wanted, Mapping) else {"$in": [wanted]}
        for operator, operand in condition.items():
            if operator == "$exists":
                if (field in document) is not operand:
                    return False
            elif not OPERATORS[operator](value, operand):
                return False
    return True


class FakeCursor:
    def __init__(self, collection: "FakeCollection", query: Mapping[str, Any]) -> None:
        self.collection = collection
        self.query = query
        self.most: int | None = None

    def sort(self, field: str, direction: int) -> Self:
        assert (field, direction) == ("_id", 1)
        return self

    def limit(self, most: int) -> Self:
        self.most = most
        return self

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        await self.collection.database.reached()
        self.collection.queries += 1
        documents = sorted(self.collection.documents.values(), key=lambda d: d["_id"])
        found = [d for d in documents if matches(d, self.query)]
        for document in found[: self.most]:
            yield dict(document)


class FakeCollection:
    def __init__(self, database: "FakeDatabase") -> None:
        self.database = database
        self.documents: dict[str, dict[str, Any]] = {}
        self.queries = 0

    def find(self, query: Mapping[str, Any], fields: Any = None) -> FakeCursor:
        return FakeCursor(self, query)

    def put(self, key: str, **fields: Any) -> None:
        self.documents[key] = {"_id": key, "version": 1, **fields}


class FakeDatabase:
    def __init__(self) -> None:
        self.collections: dict[str, FakeCollection] = defaultdict(lambda: FakeCollection(self))
        self.down = False
        self.hangs = False

    def __getitem__(self, name: str) -> FakeCollection:
        return self.collections[name]

    async def command(self, name: str) -> None:
        assert name == "ping"
        await self.reached()

    async def reached(self) -> None:
        if self.down:
            raise AutoReconnect("away")
        if self.hangs:
            await asyncio.Event().wait()

    def store(self, order: Order) -> None:
        self[repositories.ORDERS].put(order.order_id, **repositories.encode_order(order))


class FakeRedis:
    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.down = False

    async def get(self, key: str) -> bytes | None:
        self.reached()
        return self.values.get(key)

    async def set(self, key: str, value: bytes, *, px: int) -> None:
        assert px > 0
        self.reached()
        self.values[key] = value

    async def ping(self) -> bool:
        self.reached()
        return True

    def reached(self) -> None:
        if self.down:
            raise RedisConnectionError("away")


class FakeKeys:
    """The rules of `IdempotencyKeys`, without its time limits."""

    def __init__(self, redis: FakeRedis) -> None:
        self.redis = redis
        self.bodies: dict[tuple[str, str], str] = {}
        self.claims: set[str] = set()
        self.answers: dict[str, bytes] = {}

    async def begin(self, user: str, key: str, fingerprint: str) -> Begun:
        self.reached()
        name = f"{user}/{key}"
        if self.bodies.setdefault((user, key), fingerprint) != fingerprint:
            return Mismatch()
        if name in self.answers:
            return Replay(self.answers[name])
        if name in self.claims:
            return InFlight(5.0)
        self.claims.add(name)
        return Fresh(name, fingerprint, "claim")

    async def complete(self, claim: Fresh, answer: bytes, *, note: Note | None = None) -> None:
        self.reached()
        self.answers[claim.key] = answer
        if note is not None:
            self.redis.values[note.key] = note.value

    async def abandon(self, claim: Fresh, *, forget: bool = False) -> None:
        self.reached()
        self.claims.discard(claim.key)
        if forget:
            user, _, key = claim.key.partition("/")
            del self.bodies[user, key]

    def forget_all(self) -> None:
        self.bodies.clear()
        self.claims.clear()
        self.answers.clear()
        self.redis.values.clear()

    def reached(self) -> None:
        if self.redis.down:
            raise TransientStoreError("Redis: away")


class FakeLog:
    """Kafka, as far as publishing goes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.down = False
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    async def publish(self, event: Event) -> None:
        self.asked.set()
        await self.open.wait()
        if self.down:
            raise ConnectionError("no broker")
        self.events.append(event)
