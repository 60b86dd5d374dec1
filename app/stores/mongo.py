"""MongoDB: connection, and documents guarded by a version.

The only module that knows the driver: PyMongo's async client, or motor, whose successor it is
(`MONGO_DRIVER`, see docs/adr/0003-redis-asyncio-and-motor.md). Every write names the version it
stands on, so a writer that lost its partition meanwhile can't overwrite what its successor wrote.
"""

import errno
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Generic, TypeVar, cast

from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, InsertOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from app.settings import Settings
from app.stores.errors import ConflictError, TransientStoreError

S = TypeVar("S")
Document = dict[str, Any]
Collection = AsyncCollection[Document]
Database = AsyncDatabase[Document]
Client = AsyncMongoClient[Document]

DEFAULT_DATABASE = "orderflow"
DUPLICATE_KEY = 11000
# asyncio's words; the address is named before them.
REFUSED = re.compile(rf"\[Errno {errno.ECONNREFUSED}\] Connect call failed \('[^']*', \d+\)")
# Server errors that say that a document or an update can't be: BadValue, FailedToParse,
# TypeMismatch, DollarPrefixedFieldName, DocumentValidationFailure, BSONObjectTooLarge and the older
# codes of too large objects and unstorable values.
OF_THE_DATA = frozenset({2, 9, 14, 52, 121, 10334, 17280, 17419})


def connect(settings: Settings, *, timeout: float | None = None) -> Database:
    """The database that `MONGODB_URL` names; connects when first used.

    Writes are acknowledged by the majority's journal, wherever there is more than one node.

    Args:
        timeout: seconds to find a server, to connect and to wait for an answer, each; by default
            that of the settings.
    """
    timeout_ms = int((timeout or settings.mongo_timeout_seconds) * 1000)
    driver: Any = AsyncIOMotorClient if settings.mongo_driver == "motor" else AsyncMongoClient
    client = driver(
        settings.mongodb_url,
        serverSelectionTimeoutMS=timeout_ms,
        connectTimeoutMS=timeout_ms,
        socketTimeoutMS=timeout_ms,
        maxPoolSize=settings.mongo_pool_size,
        w="majority",
        journal=True,
        tz_aware=True,
    )
    name = parse_uri(settings.mongodb_url)["database"] or DEFAULT_DATABASE
    # Of what is used here, motor's objects do the same under the same names.
    return cast("Client", client)[name]


async def close(database: Database) -> None:
    """Close all connections of the database's client."""
    closing: Any = database.client.close()
    if isawaitable(closing):  # motor closes at once
        await closing


@contextmanager
def translated() -> Any:
    """Turns the driver's faults into the stores' own.

    A duplicate key is a conflict. What the server refuses for the data itself is raised as it is:
    trying again will not help. Everything else is the server's trouble, of whatever kind, and
    passes.

    Raises:
        ConflictError: a document was written by somebody else meanwhile.
        TransientStoreError: the server was not reached, did not answer, or refused for now.
    """
    try:
        yield
    except BulkWriteError as error:
        errors = (error.details or {}).get("writeErrors", [])
        codes = {e.get("code") for e in errors}
        if codes & OF_THE_DATA:
            raise
        if codes == {DUPLICATE_KEY}:
            raise ConflictError(f"{len(errors)} documents exist already") from error
        raise TransientStoreError(f"MongoDB: not all was written: {codes or error}") from error
    except OperationFailure as error:
        if error.code in OF_THE_DATA:
            raise
        raise TransientStoreError(f"MongoDB: {error}") from error
    except (InvalidDocument, DocumentTooLarge, OverflowError):
        raise
    except PyMongoError as error:
        raise TransientStoreError(f"MongoDB: {REFUSED.sub('refused', str(error))}") from error


def brief(error: Exception) -> str:
    """What a fault of the driver says, without its view of the whole cluster."""
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0]


@dataclass(frozen=True, slots=True)
class Stored(Generic[S]):
    """A state as it was loaded: the version that a write must find, and the document behind it."""

    state: S | None
    version: int = 0
    document: Mapping[str, Any] | None = None


class DocumentStore(Generic[S]):
    """States as documents of one collection, one a key; loaded and saved many at a time."""

    def __init__(
        self,
        collection: Collection,
        *,
        encode: Callable[[S], Document],
        decode: Callable[[Mapping[str, Any]], S],
    ) -> None:
        self.collection = collection
        self._encode = encode
        self._decode = decode

    async def load(self, keys: Iterable[str]) -> dict[str, Stored[S]]:
        """The stored states of all `keys`, in one query; a key without one has state None."""
        wanted = list(keys)
        found: dict[str, Stored[S]] = {key: Stored(None) for key in wanted}
        if wanted:
            with translated():
                async for document in self.collection.find({"_id": {"$in": wanted}}):
                    found[document["_id"]] = Stored(
                        self._decode(document), document["version"], document
                    )
        return found

    async def get(self, key: str) -> S | None:
        """The state of one key."""
        return (await self.load((key,)))[key].state

    async def save(self, changes: Sequence[tuple[str, Stored[S], S]]) -> None:
        """Write each key's new state over the one it was loaded as, in one bulk write.

        Raises:
            ConflictError: at least one document is not at the version it was loaded at. The others
                may have been written: load and decide again.
        """
        if not changes:
            return
        writes = [self._write(*change) for change in changes]
        with translated():
            result = await self.collection.bulk_write(writes, ordered=False)
        written = result.inserted_count + result.matched_count
        if written != len(writes):
            raise ConflictError(f"{len(writes) - written} documents changed since they were loaded")

    def _write(self, key: str, stored: Stored[S], state: S) -> InsertOne[Document] | UpdateOne:
        fields = self._encode(state)
        if stored.document is None:
            return InsertOne({"_id": key, "version": 1, **fields})
        before = stored.document
        changed = {k: v for k, v in fields.items() if k not in before or before[k] != v}
        return UpdateOne(
            {"_id": key, "version": stored.version},
            {"$set": {**changed, "version": stored.version + 1}},
        )


async def ping(database: Database) -> None:
    """Raises:
    TransientStoreError: the server does not answer.
    """
    with translated():
        await database.command("ping")


async def documents(
    collection: Collection, query: Mapping[str, Any], fields: Mapping[str, int] | None = None
) -> AsyncIterator[Document]:
    """The documents that match, one at a time."""
    with translated():
        async for document in collection.find(query, fields):
            yield document


__all__ = [
    "Collection",
    "ConflictError",
    "Database",
    "Document",
    "DocumentStore",
    "PyMongoError",
    "Stored",
    "TransientStoreError",
    "brief",
    "close",
    "connect",
    "documents",
    "ping",
    "translated",
]
