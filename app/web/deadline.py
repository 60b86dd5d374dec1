"""`X-Request-Timeout`: how long whoever asks will wait.

A gateway says what is left of its client's time. An answer that would come later is of no use to
anybody, so the request ends with 504 then, and what it held is free. What must not stop half-way is
shielded, and goes on (`app/web/shielded.py`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from app.web.problems import ProblemError

HEADER = "X-Request-Timeout"
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
# A wait that is asked for ends so long before, for the answer to be written and to arrive.
ANSWER_SECONDS = 0.1

LIMIT = web.RequestKey("LIMIT", asyncio.Timeout)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An answer begins in time, or it is 504; a stream that has begun may go on."""
    if HEADER not in request.headers:
        return await handler(request)
    seconds = _seconds_of(request)
    if not seconds:
        # Else what is shielded would be begun.
        raise ProblemError(HTTPStatus.GATEWAY_TIMEOUT, "There is no time; nothing was done.")
    try:
        async with asyncio.timeout(seconds) as limit:
            request[LIMIT] = limit
            try:
                return await handler(request)
            finally:
                del request[LIMIT]
    except TimeoutError as error:
        if not limit.expired():
            raise
        detail = "The request's own time was up before it was done. It may still be done."
        raise ProblemError(HTTPStatus.GATEWAY_TIMEOUT, detail) from error


async def begun(request: web.Request, _response: web.StreamResponse) -> None:
    """A hook for the moment at which an answer begins: from then on nothing ends it."""
    limit = request.get(LIMIT)
    if limit is not None and not limit.expired():
        limit.reschedule(None)


def within_limit(request: web.Request, seconds: float) -> float:
    """So many seconds, or as many as leave time to answer."""
    limit: asyncio.Timeout | None = request.get(LIMIT)
    until = limit.when() if limit is not None else None
    if until is None:
        return seconds
    left = until - asyncio.get_running_loop().time() - ANSWER_SECONDS
    return max(0.0, min(seconds, left))


def _seconds_of(request: web.Request) -> float:
    given = request.headers.getall(HEADER)
    if len(given) > 1 or not SECONDS.fullmatch(given[0]):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"{HEADER} must be a number of seconds, such as 2 or 0.5, given once.",
            kind="bad-request-timeout",
        )
    return float(given[0])
