"""Servers by hand: as much of each as the web asks for, and each can be away."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from types import SimpleNamespace
from typing import Any, Self

from pymongo.errors import AutoReconnect, DuplicateKeyError
from redis.exceptions import ConnectionError as RedisConnectionError

from app.domain.order import Order
from app.events import Event
from app.stores import repositories
from app.stores.errors import LeaseUnavailableError, TransientStoreError
from app.stores.idempotency import Begun, Fresh, InFlight, Mismatch, Note, Replay
from app.stores.locks import Lease

UNTIL_SECONDS = 60.0


async def until(condition: Callable[[], bool]) -> None:
    """Return once the server has come so far."""
    async with asyncio.timeout(UNTIL_SECONDS):
        while not condition():
            await asyncio.sleep(0)


def _same_type(value: Any, operand: Any) -> bool:
    """MongoDB compares only what is of one type."""
    return value is not None and isinstance(value, type(operand))


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, wanted: value in wanted,
    "$gt": lambda value, wanted: _same_type(value, wanted) and value > wanted,
    "$lt": lambda value, wanted: _same_type(value, wanted) and value < wanted,
    "$lte": lambda value, wanted: _same_type(value, wanted) and value <= wanted,
}


def values_at(document: Any, path: str) -> list[Any]:
    """The values at a dotted path; of an array each element's."""
    name, _, rest = path.partition(".")
    if isinstance(document, list) and name.isdigit():
        found = document[int(name) : int(name) + 1]
    elif isinstance(document, list):
        found = [value for each in document for value in values_at(each, name)]
    else:
        found = [document[name]] if name in document else []
    return [value for each in found for value in values_at(each, rest)] if rest else found


def matches(document: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    return all(_holds(document, field, wanted) for field, wanted in query.items())


def _holds(document: Mapping[str, Any], field: str, wanted: Any) -> bool:
    match field:
        case "$and":
            return all(matches(document, each) for each in wanted)
        case "$or":
            return any(matches(document, each) for each in wanted)
        case "$nor":
            return not any(matches(document, each) for each in wanted)
    values = values_at(document, field)
    condition = wanted if isinstance(wanted, Mapping) else {"$in": [wanted]}
    for operator, operand in condition.items():
        if operator == "$exists":
            holds = bool(values) is operand
        elif operator == "$nin":
            holds = not any(value in operand for value in values)
        else:
            holds = any(OPERATORS[operator](value, operand) for value in values or [None])
        if not holds:
            return False
    return True


class FakeCursor:
    def __init__(self, collection: "FakeCollection", query: Mapping[str, Any]) -> None:
        self.collection = collection
        self.query = query
        self.first = 0
        self.most: int | None = None
        self.order: list[tuple[str, int]] = [("_id", 1)]

    def sort(self, field: str | list[tuple[str, int]], direction: int = 1) -> Self:
        self.order = [(field, direction)] if isinstance(field, str) else field
        return self

    def skip(self, first: int) -> Self:
        self.first = first
        return self

    def limit(self, most: int) -> Self:
        self.most = most
        return self

    async def close(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        await self.collection.database.reached()
        self.collection.queries += 1
        found = [d for d in self.collection.documents.values() if matches(d, self.query)]
        for field, direction in reversed(self.order):
            found.sort(
                key=lambda d, field=field: (d.get(field) is not None, d.get(field) or ""),  # type: ignore[misc]
                reverse=direction < 0,
            )
        last = None if self.most is None else self.first + self.most
        for document in found[self.first : last]:
            yield dict(document)


class FakeCollection:
    def __init__(self, database: "FakeDatabase") -> None:
        self.database = database
        self.documents: dict[str, dict[str, Any]] = {}
        self.indexes: list[Any] = []
        self.queries = 0

    def find(self, query: Mapping[str, Any], fields: Any = None) -> FakeCursor:
        return FakeCursor(self, query)

    async def insert_one(self, document: dict[str, Any]) -> None:
        await self.database.reached()
        if document["_id"] in self.documents:
            raise DuplicateKeyError("there already")
        self.documents[document["_id"]] = dict(document)

    async def update_one(
        self, query: Mapping[str, Any], update: Mapping[str, Any], *, upsert: bool = False
    ) -> Any:
        await self.database.reached()
        found = next((d for d in self.documents.values() if matches(d, query)), None)
        if found is None and upsert:
            found = self.documents[query["_id"]] = {"_id": query["_id"]}
        if found is not None:
            found.update(update.get("$set", {}))
            for field, by in update.get("$inc", {}).items():
                found[field] = found.get(field, 0) + by
        return SimpleNamespace(matched_count=int(found is not None))

    async def delete_many(self, query: Mapping[str, Any]) -> None:
        await self.database.reached()
        self.documents = {k: d for k, d in self.documents.items() if not matches(d, query)}

    async def create_indexes(self, indexes: list[Any]) -> None:
        await self.database.reached()
        self.indexes = indexes

    def put(self, key: str, **fields: Any) -> None:
        self.documents[key] = {"_id": key, "version": 1, **fields}


class FakeDatabase:
    def __init__(self) -> None:
        self.collections: dict[str, FakeCollection] = defaultdict(lambda: FakeCollection(self))
        self.down = False
        self.hangs = False
        self.hung = asyncio.Event()
        self.go_on = asyncio.Event()

    def __getitem__(self, name: str) -> FakeCollection:
        return self.collections[name]

    async def command(self, name: str) -> None:
        assert name == "ping"
        await self.reached()

    async def reached(self) -> None:
        if self.down:
            raise AutoReconnect("away")
        if self.hangs:
            self.hung.set()
            await self.go_on.wait()

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


class FakeLocks:
    """Grants every lock that is not in `taken`."""

    def __init__(self) -> None:
        self.token = 100
        self.taken: set[str] = set()
        self.held: dict[str, str] = {}

    async def acquire(
        self, names: Collection[str], *, floor: int = 0, owner: str | None = None
    ) -> Lease:
        if self.taken & set(names):
            raise LeaseUnavailableError("locked")
        self.token = max(self.token, floor) + 1
        self.held |= dict.fromkeys(names, owner or "somebody")
        return Lease(tuple(names), self.token, owner or "somebody", time.monotonic() + 100)

    async def release(self, lease: Lease) -> None:
        for name in lease.names:
            if self.held.get(name) == lease.owner:
                del self.held[name]


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
