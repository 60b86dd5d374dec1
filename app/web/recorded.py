"""A server's span for each request to a worker whose trace is kept (docs/tracing.md)."""

import time
from dataclasses import replace

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.telemetry.context import parse
from app.telemetry.spans import Recorder
from app.web.metrics import METHODS, route_template
from app.web.tracing import ORDER, STORED, trace_of

# Asked for every second or so: each would be a trace of its own.
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
OTHER_METHOD = "_OTHER"
SERVER_ERRORS = 500
CLIENT_GONE = 499


def request_spans(recorder: Recorder) -> Middleware:
    """A middleware that records requests; what they lead to is below their spans."""

    @web.middleware
    async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBES:
            return await handler(request)
        trace = trace_of(request)
        given = parse(trace.traceparent)
        parent = given if trace.continued else None
        place = recorder.begin(parent, made=given)
        request[STORED] = replace(trace, traceparent=place.traceparent)
        if not place.sampled:
            return await handler(request)
        began = time.time_ns()
        status = CLIENT_GONE
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            method = request.method if request.method in METHODS else OTHER_METHOD
            route = route_template(request)
            attributes: dict[str, str | int | float | bool] = {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "url.path": request.path,
            }
            if (order_id := request.get(ORDER)) is not None:
                attributes["orderflow.order_id"] = order_id
            if trace.id != trace.trace_id:
                attributes["orderflow.client_trace_id"] = trace.id
            recorder.record(
                f"{method} {route}",
                "server",
                place,
                parent,
                began=began,
                ended=time.time_ns(),
                attributes=attributes,
                error=str(status) if status >= SERVER_ERRORS else None,
            )

    return recorded
