"""`GET /analytics/stream`: the live summary as server-sent events; one question for all clients."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

from aiohttp import web

from app.web.answers import encoded
from app.web.problems import ProblemError, unavailable

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
# A line that says nothing, where there is nothing to say: proxies end what is silent (the gateway
# after 70 s, many others after 60 s or 30 s).
HEARTBEAT_SECONDS = 10.0
# Who takes nothing for so long, while the buffers in between are full, is not reading.
STALLED_SECONDS = 10.0
# In one worker. Each costs a write a second; that is some 5 % of a core.
CLIENTS_MOST = 500
# After which a client that lost its connection comes back, in ms.
RETRY_MS = 2000

Summarize = Callable[[], Awaitable[dict[str, Any]]]


class Feed:
    """Asks while somebody listens, and tells all of them.

    Args:
        summarize: the summary; raises `ProblemError` where there is none now.
        every: seconds from one question to the next.
        most: clients at once.
    """

    def __init__(
        self,
        summarize: Summarize,
        *,
        every: float = EVERY_SECONDS,
        heartbeat: float = HEARTBEAT_SECONDS,
        stalled: float = STALLED_SECONDS,
        most: int = CLIENTS_MOST,
    ) -> None:
        self._summarize = summarize
        self._every = every
        self._heartbeat = heartbeat
        self._stalled = stalled
        self._most = most
        self._clients = 0
        self._closed = asyncio.Event()
        self._next: asyncio.Future[bytes] | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def clients(self) -> int:
        """Who listens now."""
        return self._clients

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Events until the client leaves, stops reading, or the worker ends."""
        if self._closed.is_set() or self._clients >= self._most:
            raise unavailable("Too many clients follow the stream here; try again later.")
        self._clients += 1
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream",
                    "Cache-Control": "no-store",
                    # nginx would hold it back.
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            await self._tell(request, response)
            return response
        finally:
            self._clients -= 1

    async def close(self) -> None:
        """End all streams, so that a worker's stop need not wait for them."""
        self._closed.set()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        closed = asyncio.create_task(self._closed.wait())
        event = b"retry: %d\n\n" % RETRY_MS
        try:
            while True:
                async with asyncio.timeout(self._stalled):
                    await response.write(event)
                following = self._following()
                await asyncio.wait(
                    (following, closed),
                    timeout=self._heartbeat,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if self._closed.is_set():
                    await response.write_eof()
                    return
                event = following.result() if following.done() else b": still here\n\n"
        except TimeoutError:
            logger.info("a client of the analytics stream does not read: dropped")
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # it left
        finally:
            closed.cancel()

    def _following(self) -> "asyncio.Future[bytes]":
        """The next event; whoever waits for it first has it asked for."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            # Of no request's own context: it asks for many.
            self._asking = asyncio.create_task(self._ask(), context=Context())
        return self._next

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while self._clients:
            began = loop.time()
            event = await self._event()
            if self._next is not None and not self._next.done():
                self._next.set_result(event)
            await asyncio.sleep(max(0.0, began + self._every - loop.time()))

    async def _event(self) -> bytes:
        try:
            return b"event: summary\ndata: %b\n\n" % encoded(await self._summarize())
        except ProblemError as problem:
            detail = {"status": problem.status, "detail": problem.detail, **problem.members}
            return b"event: unavailable\ndata: %b\n\n" % encoded(detail)
        except Exception:
            logger.exception("the summary can't be told")
            return b'event: unavailable\ndata: {"status":500}\n\n'


class Report:
    """A line of the log every so many seconds, from one worker of the cluster.

    Args:
        is_mine: whether it is this worker's to write now.
    """

    def __init__(self, summarize: Summarize, is_mine: Callable[[], bool], *, every: float) -> None:
        self._summarize = summarize
        self._is_mine = is_mine
        self._every = every
        self._task: asyncio.Task[None] | None = None

    async def start(self, app: Any) -> None:
        """Begin; for `on_startup`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, app: Any) -> None:
        """End; for `on_cleanup`."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            if not self._is_mine():
                continue
            try:
                summary = await self._summarize()
            except ProblemError as problem:
                logger.info("no analytics now: %s", problem.detail)
            except Exception:
                logger.exception("the analytics can't be reported")
            else:
                logger.info("analytics", extra={"data": {"analytics": summary}})
