"""What all gateways share: Redis, and what becomes of a request when it is away.

Calls that come while others are under way go to Redis together, on one connection and in one round
trip: the more there is to do, the less each costs. A Redis that does not answer is asked no more
until it does, by a task of its own: only the requests of that first moment wait, and those for
`GATEWAY_REDIS_TIMEOUT_SECONDS` at most. What a request does without Redis is its own affair.
"""

import asyncio
import contextlib
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.metrics import Metrics

logger = structlog.get_logger()

# Redis does one call after the other: at 10 to 20 microseconds each this keeps others waiting for
# some milliseconds at most.
TOGETHER_MAX = 256
# How soon a Redis that is back is noticed: for so long the gateway goes on without it.
RETRY_SECONDS = 0.5
# A connection that was idle for longer may have been closed meanwhile, so it is looked at first.
IDLE_SECONDS = 1.0

Command = tuple[Any, ...]
Call = tuple[Command, asyncio.Future[Any]]


class LostRedisError(Exception):
    """Redis does not answer, or did not just now."""


class Script:
    """A Lua script that Redis runs as one step."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Any]) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


class Shared:
    """Redis as requests use it.

    The connection is used itself, without the client above it: that takes a third of the time. No
    call is repeated, because a counter would count it twice.

    Args:
        url: where Redis is.
        seconds: it has for all calls that go together, and to connect.
        scripts: those that calls will run.
    """

    def __init__(
        self, url: str, seconds: float, metrics: Metrics, scripts: Sequence[Script]
    ) -> None:
        self._pool = ConnectionPool.from_url(
            url, max_connections=1, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._seconds = seconds
        self._metrics = metrics
        self._scripts = scripts
        self._available = False
        self._connection: AbstractConnection | None = None
        self._used = 0.0
        self._waiting: list[Call] = []
        self._sending: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether Redis answered the last time."""
        return self._available

    async def call(self, *command: Any) -> Any:
        """Redis' answer to a command.

        Raises:
            LostRedisError: there is none; the command may have been done.
        """
        if not self._available:
            raise LostRedisError
        answer = asyncio.get_running_loop().create_future()
        # Python reads what is no Unicode, as clients may send, as lone surrogates.
        sent = tuple(
            each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each
            for each in command
        )
        self._waiting.append((sent, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """What the script returns.

        Raises:
            LostRedisError: nothing; it may have run.
        """
        return await self.call(*script.call(keys, arguments))

    async def start(self) -> None:
        """Find out whether Redis is there."""
        try:
            await self._load()
        except (RedisError, OSError) as error:
            self._available = True  # so that its loss is told
            self._lose(error)
        else:
            self._set(available=True)

    async def close(self) -> None:
        """Ask nothing more."""
        self._available = False
        tasks = [task for task in (self._sending, self._returning) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail_waiting()
        await self._release()
        await self._pool.aclose()

    async def _send_all(self) -> None:
        try:
            while self._waiting and self._available:
                calls = self._waiting[:TOGETHER_MAX]
                del self._waiting[:TOGETHER_MAX]
                try:
                    await self._send(calls)
                except Exception as error:
                    self._lose(error)
                finally:
                    _fail(calls)  # those that have no answer by now
        finally:
            self._sending = None
            if not self._available:
                self._fail_waiting()

    async def _send(self, calls: Sequence[Call]) -> None:
        results = await self._together([command for command, _ in calls])
        unknown = [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            # A Redis that was started anew, or was told to forget; nothing of these was done.
            await self._load()
            again = await self._together([calls[i][0] for i in unknown])
            for i, result in zip(unknown, again, strict=True):
                results[i] = result
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, Exception):
                # Full, only for reading, still loading: one that can't do it is as good as none.
                self._lose(result)
            elif not call[1].done():
                call[1].set_result(result)

    async def _together(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, errors among them, in one round trip."""
        async with asyncio.timeout(self._seconds):
            connection = await self._connected()
            try:
                packed = connection.pack_commands(commands)
                await connection.send_packed_command(packed, check_health=False)
                return [await _answer(connection) for _ in commands]
            except BaseException:
                # What is still to come on it belongs to nobody.
                await connection.disconnect(nowait=True)
                raise

    async def _connected(self) -> AbstractConnection:
        now = asyncio.get_running_loop().time()
        if self._connection is not None and now - self._used > IDLE_SECONDS:
            await self._release()
        if self._connection is None:
            # The pool finds out whether it still is one.
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        self._used = now
        return self._connection

    async def _release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await self._pool.release(connection)

    async def _load(self) -> None:
        for result in await self._together(
            [("SCRIPT", "LOAD", each.text) for each in self._scripts]
        ):
            if isinstance(result, Exception):
                raise result

    def _lose(self, error: Exception) -> None:
        if not self._available:
            return
        self._set(available=False)
        logger.warning("redis lost", error=str(error) or type(error).__name__)
        self._returning = asyncio.create_task(self._come_back())

    async def _come_back(self) -> None:
        while not self._available:
            await asyncio.sleep(RETRY_SECONDS)
            with contextlib.suppress(RedisError, OSError):
                await self._load()
                self._set(available=True)
        logger.info("redis is back")

    def _set(self, *, available: bool) -> None:
        self._available = available
        self._metrics.redis_available(available=available)

    def _fail_waiting(self) -> None:
        _fail(self._waiting)
        self._waiting.clear()


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)  # the calls together have a limit
    except ResponseError as error:
        return error


def _fail(calls: Sequence[Call]) -> None:
    """Nobody waits for what is not coming."""
    for _, answer in calls:
        if not answer.done():
            answer.set_exception(LostRedisError())
