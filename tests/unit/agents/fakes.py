"""The servers behind the services, in memory: they count calls, and fail where a test says so.

Documents pass through BSON, so a fake keeps of a state exactly what MongoDB would keep. Nothing
here ever waits, so `run` drives a service without an event loop.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import bson
from bson.codec_options import CodecOptions
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from app.codec import decode
from app.domain.payment import Action, Request, Result
from app.events import Event
from app.resources import Clock, Resources
from app.settings import Settings
from app.stores import locks
from app.streaming import OutRecord
from app.topics import BY_NAME
from tests.builders import TickingClock

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
DUPLICATE_KEY = 11000

T = TypeVar("T")
Write = InsertOne[Any] | UpdateOne


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("it waited for something, and nothing here can happen by itself")


class CrashError(Exception):
    """The process died here."""


class FakeCollection:
    """The part of a motor collection that the stores use.

    Attributes:
        finds: how often it was searched; `bulk_writes`: how often it was written.
        crash: given the number of writes of the next bulk write, which of them (by position)
            still reach the disk before the process dies. Used once.
        meanwhile: called once, just before the next bulk write is carried out.
    """

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.finds = 0
        self.bulk_writes = 0
        self.crash: Callable[[int], Collection[int]] | None = None
        self.meanwhile: Callable[[], None] | None = None

    def documents(self) -> dict[str, dict[str, Any]]:
        return {key: bson.decode(raw, OPTIONS) for key, raw in self.stored.items()}

    def insert(self, document: dict[str, Any]) -> None:
        assert document["_id"] not in self.stored
        self.stored[document["_id"]] = bson.encode(document)

    async def find(self, query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.finds += 1
        for key in dict.fromkeys(query["_id"]["$in"]):
            if key in self.stored:
                yield bson.decode(self.stored[key], OPTIONS)

    async def bulk_write(self, writes: Sequence[Write], *, ordered: bool) -> SimpleNamespace:
        assert not ordered
        self.bulk_writes += 1
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        crash, self.crash = self.crash, None
        if crash is not None:
            for position in crash(len(writes)):
                self._write(writes[position])
            raise CrashError
        done = Counter(self._write(write) for write in writes)
        if done["duplicate"]:
            raise BulkWriteError({"writeErrors": [{"code": DUPLICATE_KEY}] * done["duplicate"]})
        return SimpleNamespace(
            inserted_count=done["inserted"],
            matched_count=done["matched"],
            upserted_count=done["upserted"],
        )

    def _write(self, write: Write) -> str:
        if isinstance(write, InsertOne):
            if write._doc["_id"] in self.stored:
                return "duplicate"
            self.insert(write._doc)
            return "inserted"
        key = write._filter["_id"]
        found = bson.decode(self.stored[key], OPTIONS) if key in self.stored else None
        if found is None:
            if not write._upsert:
                return "missed"
            self.insert({"_id": key, **write._doc["$setOnInsert"]})
            return "upserted"
        if any(found.get(name) != value for name, value in write._filter.items()):
            return "missed"
        for path, value in write._doc.get("$set", {}).items():
            parent, name = _place(found, path)
            parent[name] = value
        for path in write._doc.get("$unset", {}):
            parent, name = _place(found, path)
            parent.pop(name, None)
        self.stored[key] = bson.encode(found)
        return "matched"


def _place(document: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, name = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    return document, name


class FakeDatabase:
    """Collections by name."""

    def __init__(self) -> None:
        self.collections: dict[str, FakeCollection] = {}

    def __getitem__(self, name: str) -> FakeCollection:
        return self.collections.setdefault(name, FakeCollection())


class FakeRedis:
    """The lock server: grants leases with growing tokens, to one holder at a time."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.token = 0
        self.acquired = 0
        self.released = 0

    def register_script(self, script: str) -> Callable[..., Awaitable[Any]]:
        return {locks.ACQUIRE: self._acquire, locks.RELEASE: self._release}[script]

    def expire_all(self) -> None:
        """Every lease ran out; its holder does not know."""
        self.held.clear()

    async def _acquire(self, keys: Sequence[str], args: Sequence[Any]) -> list[Any]:
        self.acquired += 1
        _, *names = keys
        owner, _, floor = args
        for position, name in enumerate(names, start=1):
            if name in self.held and not self.held[name].startswith(f"{owner}:"):
                return [0, position]
        self.token = max(self.token + 1, floor + 1)
        self.held.update(dict.fromkeys(names, f"{owner}:{self.token}"))
        return [1, str(self.token).encode()]

    async def _release(self, keys: Sequence[str], args: Sequence[Any]) -> int:
        self.released += 1
        mine = [name for name in keys if self.held.get(name) == args[0]]
        for name in mine:
            del self.held[name]
        return len(mine)


class FakeProvider:
    """Charges each order once, and gives the same answer ever after; one withdrawn, never.

    Attributes:
        calls: the requests of each call.
        charged: what each order was charged, and not given back.
    """

    def __init__(self, declines: Collection[str] = ()) -> None:
        self.declines = set(declines)
        self.calls: list[list[Request]] = []
        self.answers: dict[str, Result] = {}
        self.charged: dict[str, int] = {}

    async def call(self, requests: Sequence[Request]) -> Sequence[Result]:
        self.calls.append(list(requests))
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> Result:
        """The answer to one request."""
        key = request.order_id
        if request.action is Action.REFUND:
            self.charged.pop(key, None)
            return self.answers[key]
        if request.action is Action.WITHDRAW:
            self.charged.pop(key, None)
            self.answers.setdefault(key, Result(ok=False, detail="withdrawn"))
            return Result(ok=True)
        if key not in self.answers:
            if key in self.declines:
                self.answers[key] = Result(ok=False, detail="declined")
            else:
                self.answers[key] = Result(ok=True, payment_id=f"pay-{key}")
                self.charged[key] = request.amount
        return self.answers[key]


def resources(
    database: FakeDatabase | None = None,
    redis: FakeRedis | None = None,
    *,
    clock: Clock | None = None,
    settings: Settings | None = None,
) -> Resources:
    """The resources of a process whose servers are in memory."""
    database = database or FakeDatabase()
    return Resources(
        settings=settings or Settings(),
        database=database,  # type: ignore[arg-type]
        reads=database,  # type: ignore[arg-type]
        redis=redis or FakeRedis(),  # type: ignore[arg-type]
        clock=clock or TickingClock(),
    )


def heard(records: Sequence[OutRecord]) -> list[Event]:
    """The events of records, as a consumer decodes them."""
    return [decode(BY_NAME[r.topic], r.key, r.value, r.headers) for r in records]
