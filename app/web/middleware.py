"""Around every request: counts it, and turns whatever goes wrong into problem+json."""

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.connection import SERVER
from app.stores.errors import TransientStoreError
from app.web import metrics, problems
from app.web.problems import ProblemError
from app.web.tracing import TRACE_ID_HEADER, told_of, trace_of

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

INSTANCE_HEADER = "X-Instance-Id"
# nginx's status for a client that left before its answer; nobody receives it.
CLIENT_GONE = 499


@web.middleware
async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request gets an answer, is counted and timed."""
    began = time.perf_counter()
    status = CLIENT_GONE
    # No order yet; whoever learns of one binds it.
    bound = bind_contextvars(trace_id=trace_of(request).trace_id, order_id=...)
    try:
        response = await _answer(request, handler)
        status = response.status
        return response
    finally:
        reset_contextvars(**bound)
        metrics.observe(request, status, time.perf_counter() - began)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as problem:
        return problem.response(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return problems.of_status(error.status, error.headers).response(request)
    except web.RequestPayloadError as error:
        detail = f"The request's body can't be read: {error}"
        return ProblemError(HTTPStatus.BAD_REQUEST, detail).response(request)
    except TransientStoreError as error:
        logger.warning("%s %s: %s", request.method, request.path, error)
        detail = "A server that this needs can't be reached now; try again."
        return problems.unavailable(detail).response(request)
    except Exception as error:
        if isinstance(error, ConnectionError) and _is_gone(request):
            return web.Response(status=CLIENT_GONE)
        logger.exception(
            "%s %s failed", request.method, request.path, extra={"data": told_of(request)}
        )
        return problems.of_status(HTTPStatus.INTERNAL_SERVER_ERROR, {}).response(request)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def instance_headers(
    name: str, stopping: Callable[[], bool]
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A hook that says in every answer which trace it belongs to and which worker gave it; and,
    once that is to stop, that the connection ends with it: nobody sends on one that is closing."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[TRACE_ID_HEADER] = trace_of(request).id
        response.headers[INSTANCE_HEADER] = name
        response.headers[hdrs.SERVER] = SERVER
        if stopping():
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    return add
