"""The user directory: one document a user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from app.stores.mongo import Database, translated
from app.stores.repositories import USERS


@dataclass(frozen=True, slots=True)
class User:
    """A user."""

    user_id: str
    name: str
    email: str
    created_at: datetime


class UserStore:
    """The users, by their ids.

    Each method raises `TransientStoreError` when the server could not be reached or did not answer
    in time.
    """

    def __init__(self, database: Database) -> None:
        self._users = database[USERS]

    async def add(self, user: User) -> bool:
        """Keep a new user; false where the id is taken."""
        with translated():
            try:
                await self._users.insert_one(
                    {
                        "_id": user.user_id,
                        "name": user.name,
                        "email": user.email,
                        "createdAt": user.created_at,
                    }
                )
            except DuplicateKeyError:
                return False
        return True

    async def get(self, user_id: str) -> User | None:
        """The user of this id."""
        with translated():
            async for document in self._users.find({"_id": user_id}):
                return _decode(document)
        return None

    async def page(self, *, after: str | None, limit: int) -> Sequence[User]:
        """At most `limit` users by id, those after the id `after`."""
        query: dict[str, Any] = {} if after is None else {"_id": {"$gt": after}}
        with translated():
            cursor = self._users.find(query).sort([("_id", 1)]).limit(limit)
            return [_decode(document) async for document in cursor]


def _decode(document: Mapping[str, Any]) -> User:
    return User(document["_id"], document["name"], document["email"], document["createdAt"])
