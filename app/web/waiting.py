"""Waiting for orders: however many requests wait, one query a moment asks for all of them."""

import asyncio
import logging
from contextvars import Context

from app.domain.order import Order
from app.web.problems import unavailable
from app.web.queries import FindOrders

logger = logging.getLogger(__name__)


class OrderWatcher:
    """Tells waiting requests when their orders are found; asks only while somebody waits.

    A fault of the database leaves the requests waiting until their own time is up.

    Args:
        find: those of the asked orders that are as they are waited for.
        poll_seconds: the pause between two queries; longer where a query itself takes longer, so
            that the database is asked at most half of the time.
        limit: so many requests may wait.
    """

    def __init__(self, find: FindOrders, *, poll_seconds: float, limit: int) -> None:
        self._find = find
        self._poll_seconds = poll_seconds
        self._limit = limit
        self._waiting: dict[str, set[asyncio.Future[Order | None]]] = {}
        self._count = 0
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiters(self) -> int:
        """Requests that wait now."""
        return self._count

    def require_room(self) -> None:
        """Raises:
        ProblemError: 503, no further request may wait.
        """
        if self._count >= self._limit:
            raise unavailable("Too many requests wait for orders here; ask without waiting.")

    async def wait(self, order_id: str, seconds: float) -> Order | None:
        """The order once it is found, None when it is not within `seconds`.

        Raises:
            ProblemError: 503, no further request may wait.
        """
        if seconds <= 0 or self._closed:
            return None
        self.require_room()
        found: asyncio.Future[Order | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(order_id, set()).add(found)
        self._count += 1
        if self._polling is None or self._polling.done():
            # Of no request's own context: it asks for many.
            self._polling = asyncio.create_task(self._poll(), context=Context())
        try:
            async with asyncio.timeout(seconds):
                return await found
        except TimeoutError:
            return None
        finally:
            self._count -= 1
            self._forget(order_id, found)

    async def close(self) -> None:
        """Let everybody go at once, so that a worker's stop need not wait for them."""
        self._closed = True
        if self._polling is not None:
            self._polling.cancel()
        for waiters in self._waiting.values():
            for waiter in waiters:
                _tell(waiter, None)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._poll_seconds
        while self._waiting:
            await asyncio.sleep(pause)
            asked = tuple(self._waiting)
            if not asked:
                return
            began = loop.time()
            try:
                found = await self._find(asked)
            except Exception as error:  # whatever it is, the requests have their own time limits
                logger.warning("asking for %d orders: %r", len(asked), error)
                found = {}
            for order_id, order in found.items():
                for waiter in self._waiting.get(order_id, ()):
                    _tell(waiter, order)
                self._waiting.pop(order_id, None)
            pause = max(self._poll_seconds, loop.time() - began)

    def _forget(self, order_id: str, waiter: asyncio.Future[Order | None]) -> None:
        waiters = self._waiting.get(order_id)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiting[order_id]


def _tell(waiter: asyncio.Future[Order | None], order: Order | None) -> None:
    if not waiter.done():
        waiter.set_result(order)
