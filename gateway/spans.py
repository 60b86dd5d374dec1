"""Spans of the requests that the gateway serves, and of those that it sends to workers."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import ClientResponse, web
from yarl import URL

from app.telemetry.context import Place, parse
from app.telemetry.spans import Recorder
from gateway.metrics import METHODS, SERVICE, template
from gateway.tracing import TRACE, TRACEPARENT, order_of, trace_of

if TYPE_CHECKING:
    from gateway.sending import Outgoing

# Asked for every second or so: each would be a trace of its own.
PROBES = ("/livez", "/readyz", "/metrics")
OTHER_METHOD = "_OTHER"
SERVER_ERRORS = 500

__all__ = ["SERVICE", "CallSpans", "RequestSpan", "RequestSpans"]


class RequestSpan:
    """The span of a request that is being served."""

    __slots__ = ("_began", "_parent", "_place", "_recorder", "_request")

    def __init__(
        self, recorder: Recorder, request: web.BaseRequest, place: Place, parent: Place | None
    ) -> None:
        self._recorder = recorder
        self._request = request
        self._place = place
        self._parent = parent
        self._began = time.time_ns()

    def end(self, status: int, response: web.StreamResponse | None) -> None:
        """The answer was given, or nobody waited for it."""
        request, trace = self._request, trace_of(self._request)
        method = request.method if request.method in METHODS else OTHER_METHOD
        route = template(request.path)
        attributes: dict[str, str | int | float | bool] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "url.path": request.path,
        }
        if (order_id := order_of(request, response)) is not None:
            attributes["orderflow.order_id"] = order_id
        if trace.id != trace.trace_id:
            attributes["orderflow.client_trace_id"] = trace.id
        self._recorder.record(
            f"{method} {route}",
            "server",
            self._place,
            self._parent,
            began=self._began,
            ended=time.time_ns(),
            attributes=attributes,
            error=str(status) if status >= SERVER_ERRORS else None,
        )


class RequestSpans:
    """Begins the spans of requests."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def begin(self, request: web.BaseRequest) -> RequestSpan | None:
        """The request's span; None where its trace is not kept. What the request leads to is below
        it from now on."""
        if request.path.endswith(PROBES):
            return None
        trace = trace_of(request)
        given = parse(trace.traceparent)
        parent = given if trace.continued else None
        place = self._recorder.begin(parent, made=given)
        request[TRACE] = replace(trace, traceparent=place.traceparent)
        return RequestSpan(self._recorder, request, place, parent) if place.sampled else None


class CallSpans:
    """Records what is sent to workers: each attempt has a span, which the worker goes on from."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def send(
        self,
        outgoing: "Outgoing",
        parent: Place | None,
        worker: str,
        resends: int,
        request: Callable[[], Awaitable[ClientResponse]],
    ) -> ClientResponse:
        """The answer of `request`, which sends the outgoing one."""
        if parent is None:
            return await request()
        place = self._recorder.begin(parent)
        outgoing.headers[TRACEPARENT] = place.traceparent
        if not place.sampled:
            return await request()
        attributes = _of_call(outgoing, worker, resends)
        error: str | None = "cancelled"
        began = time.time_ns()
        try:
            answer = await request()
            attributes["http.response.status_code"] = answer.status
            error = str(answer.status) if answer.status >= SERVER_ERRORS else None
            return answer
        except Exception as failed:
            error = type(failed).__name__
            raise
        finally:
            self._recorder.record(
                outgoing.method,
                "client",
                place,
                parent,
                began=began,
                ended=time.time_ns(),
                attributes=attributes,
                error=error,
            )


def _of_call(
    outgoing: "Outgoing", worker: str, resends: int
) -> dict[str, str | int | float | bool]:
    url = URL(worker)
    attributes: dict[str, str | int | float | bool] = {
        "http.request.method": outgoing.method,
        "server.address": url.host or "",
        "server.port": url.port or 0,
        "url.path": outgoing.target.partition("?")[0],
    }
    if resends:
        attributes["http.request.resend_count"] = resends
    return attributes
