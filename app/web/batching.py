"""Lookups by id, many in one query."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")


class BatchedLookup(Generic[T]):
    """Asks for everything that was wanted while the query before was under way, in one query.

    A lone lookup goes out at once; under load there is one query instead of one a request. What is
    answered was read after it was asked for.
    """

    def __init__(self, load: Callable[[Collection[str]], Awaitable[Mapping[str, T]]]) -> None:
        self._load = load
        self._wanted: dict[str, asyncio.Future[T | None]] = {}
        self._loading: asyncio.Task[None] | None = None

    async def get(self, key: str) -> T | None:
        """What `key` leads to, None where there is nothing; raises whatever `load` raises."""
        found = self._wanted.get(key)
        if found is None:
            found = self._wanted[key] = asyncio.get_running_loop().create_future()
        if self._loading is None or self._loading.done():
            # Of no request's own context: it asks for many.
            self._loading = asyncio.create_task(self._run(), context=Context())
        return await asyncio.shield(found)  # others may wait for the same

    async def _run(self) -> None:
        while self._wanted:
            batch, self._wanted = self._wanted, {}
            try:
                found = await self._load(tuple(batch))
            except Exception as error:
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # those who asked may all have left
            else:
                for key, future in batch.items():
                    future.set_result(found.get(key))
