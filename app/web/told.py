"""A line of the log for each request with a trace; `app/trace_log.py` says why, and how many."""

import logging
import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.logs import Allowance
from app.web.tracing import TRACE_ID_HEADER, told_of

logger = logging.getLogger(__name__)


def request_traces(allowance: Allowance) -> Middleware:
    """A middleware that tells of the requests that came with a trace, as a gateway's do; probes
    do not."""

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        if TRACE_ID_HEADER not in request.headers or not allowance.take():
            return await handler(request)
        began = time.perf_counter()
        response = await handler(request)
        logger.info(
            "answered",
            extra={
                "data": {
                    **told_of(request),
                    "method": request.method,
                    "path": request.raw_path,
                    "status": response.status,
                    "seconds": round(time.perf_counter() - began, 4),
                }
            },
        )
        return response

    return told
