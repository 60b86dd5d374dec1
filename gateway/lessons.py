"""The lessons on event loops: what blocks one, what does not, and where heavy work belongs.

docs/handbook/event-loop.md and docs/handbook/cpu-bound.md show their effect.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from http import HTTPStatus
from typing import Literal

from aiohttp import web

from gateway.answering import AnswerModel, respond
from gateway.pool import FullError, Pool
from gateway.primes import count_primes
from gateway.problem import ProblemError

# Long enough to be seen in the answers of others.
PAUSE_MILLISECONDS = 200
# Half of what a health check waits by default (`GATEWAY_CONNECT_TIMEOUT_SECONDS`), so that nobody
# takes an instance that is being blocked for a dead one.
PAUSE_MOST_MILLISECONDS = 1000
# After a blocking the loop runs freely four times as long: whoever calls it however often, no more
# than a fifth of an instance's time is lost.
FREE_SHARES = 4
# A sixth of a second on one core of 2024; the most is ten times that.
PRIMES_BELOW = 200_000
PRIMES_BELOW_MOST = 1_000_000
# By then work of the usual size has left the queue.
RETRY_AFTER_SECONDS = 1
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")


class PauseLesson(AnswerModel):
    """The answer of `/api/blocking` and `/api/non-blocking`.

    Attributes:
        instance: the gateway that paused.
        milliseconds: so long it was asked to pause.
        seconds: so long the request took in this process.
    """

    lesson: Literal["blocking", "non-blocking"]
    instance: str
    milliseconds: int
    seconds: float
    explanation: str


class WorkLesson(AnswerModel):
    """The answer of `/api/cpu-bound`.

    Attributes:
        n: primes below it were counted.
        primes: how many there are.
        seconds: so long the request took in this process, with the wait for a process.
    """

    lesson: Literal["cpu-bound"]
    instance: str
    n: int
    primes: int
    seconds: float
    explanation: str


class BlockedShare:
    """How much of an instance's time may be lost by blocking it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = -math.inf

    def take(self, seconds: float) -> float:
        """Seconds until it may be blocked again; 0 where it may be blocked now, for `seconds`."""
        now = self._clock()
        if now < self._next:
            return self._next - now
        self._next = now + seconds * (1 + FREE_SHARES)
        return 0.0


class Lessons:
    """The lessons' endpoints.

    Args:
        name: of this instance.
        pool: where heavy work is done.
    """

    def __init__(self, name: str, pool: Pool) -> None:
        self._name = name
        self._pool = pool
        self._share = BlockedShare()

    async def blocking(self, request: web.Request) -> web.Response:
        """`GET /api/blocking?ms=`: sleeps in the event loop, on purpose: nobody else is served."""
        began = time.perf_counter()
        milliseconds = _pause_of(request)
        wait = self._share.take(milliseconds / 1000)
        if wait > 0:
            raise _unavailable(
                "This instance was just blocked, and must serve the others for a while.", wait
            )
        time.sleep(milliseconds / 1000)  # noqa: ASYNC251 (the mistake that this lesson is about)
        return self._paused(
            "blocking",
            milliseconds,
            began,
            "time.sleep() held the event loop: every other request of this instance waited.",
        )

    async def non_blocking(self, request: web.Request) -> web.Response:
        """`GET /api/non-blocking?ms=`: sleeps as long, and the event loop serves others."""
        began = time.perf_counter()
        milliseconds = _pause_of(request)
        await asyncio.sleep(milliseconds / 1000)
        return self._paused(
            "non-blocking",
            milliseconds,
            began,
            "asyncio.sleep() gave the event loop back: other requests were served meanwhile.",
        )

    async def cpu_bound(self, request: web.Request) -> web.Response:
        """`GET /api/cpu-bound?n=`: counts primes in another process, so that nobody waits for it
        but who asked."""
        began = time.perf_counter()
        below = _whole_number(request, "n", default=PRIMES_BELOW, most=PRIMES_BELOW_MOST)
        try:
            primes = await self._pool.run(count_primes, below)
        except FullError as error:
            raise _unavailable(
                "This instance has as much work waiting as it takes; nothing was done.",
                RETRY_AFTER_SECONDS,
            ) from error
        except BrokenProcessPool as error:
            raise _unavailable(
                "The process that did the work died, twice. Try again.", RETRY_AFTER_SECONDS
            ) from error
        return respond(
            WorkLesson(
                lesson="cpu-bound",
                instance=self._name,
                n=below,
                primes=primes,
                seconds=_since(began),
                explanation="Another process did the work: the event loop only waited for it.",
            )
        )

    def _paused(
        self,
        lesson: Literal["blocking", "non-blocking"],
        milliseconds: int,
        began: float,
        explanation: str,
    ) -> web.Response:
        return respond(
            PauseLesson(
                lesson=lesson,
                instance=self._name,
                milliseconds=milliseconds,
                seconds=_since(began),
                explanation=explanation,
            )
        )


def _pause_of(request: web.Request) -> int:
    return _whole_number(request, "ms", default=PAUSE_MILLISECONDS, most=PAUSE_MOST_MILLISECONDS)


def _whole_number(request: web.Request, name: str, *, default: int, most: int) -> int:
    """The query parameter `name`, as the workers read theirs.

    Raises:
        ProblemError: 422 where it is no whole number from 1 to `most`.
    """
    given = request.query.get(name)
    if given is None:
        return default
    if WHOLE_NUMBER.fullmatch(given) and 1 <= int(given) <= most:
        return int(given)
    detail = f"The request is not valid: {name} must be a whole number from 1 to {most}."
    raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _unavailable(detail: str, retry_after: float) -> ProblemError:
    headers = {"Retry-After": str(math.ceil(retry_after))}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 6)
