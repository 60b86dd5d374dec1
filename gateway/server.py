"""What goes around every request: its bounds, its answer whatever goes wrong, and its counting."""

import asyncio
import select
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.connection import (
    KEEPALIVE_SECONDS,
    LINE_MAX_BYTES,
    NO_ROOM,
    SERVER,
    Bodies,
    ClientConnection,
    Refusal,
    refusal_of,
    unreadable,
)
from app.logs import Allowance
from gateway import problem
from gateway.headers import INSTANCE_ID
from gateway.keys import METRICS, NAME, REQUEST_SPANS, STOPPING, TRACE_LINES
from gateway.metrics import Metrics
from gateway.problem import ProblemError
from gateway.spans import RequestSpans
from gateway.tracing import TRACE_ID, told_of, trace_of

logger = structlog.get_logger()

# So long is the rest of a refused body read, for the client to see the answer first.
LINGER_SECONDS = 5.0
HEADERS_MAX = 100
# aiohttp waits so long for answers to end, and again once they are told to. With 7 s twice the
# gateway, which serves for `SHUTDOWN_DELAY_SECONDS` before, is gone before its launcher loses
# patience (30 s).
DRAIN_SECONDS = 7.0
# What was connected just before the gateway stopped listening has sent its request by then.
LAST_REQUEST_SECONDS = 1.0
# Under a flood of connections there is no moment without one that waits.
QUIET_MOMENTS = 1000
QUIET_IN_A_ROW = 2
OPTIONS: Mapping[str, Any] = {
    "access_log": None,  # it would cost more than the routing
    "auto_decompress": False,  # bodies go on as they are
    "keepalive_timeout": KEEPALIVE_SECONDS,
    "lingering_time": LINGER_SECONDS,
    "max_line_size": LINE_MAX_BYTES,
    "max_field_size": LINE_MAX_BYTES,
    "max_headers": HEADERS_MAX,
}
# nginx's status for a client that left before its answer; nobody receives it.
CLIENT_GONE = 499
# Asked for every second or so: they would be most of the log.
PROBES = ("/livez", "/readyz", "/metrics")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Answers:
    """Makes sure that every request gets an answer and is counted."""

    def __init__(
        self,
        handler: Handler,
        metrics: Metrics,
        name: str,
        trace_lines: Allowance,
        spans: RequestSpans | None = None,
    ) -> None:
        self._spans = spans
        self._handler = handler
        self._metrics = metrics
        self._name = name
        self._trace_lines = trace_lines
        self._bodies = Bodies()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to the request, whatever goes wrong."""
        began = time.perf_counter()
        status = CLIENT_GONE
        error: Exception | None = None
        response: web.StreamResponse | None = None
        taken: int | None = 0
        span = self._spans.begin(request) if self._spans is not None else None
        bound = bind_contextvars(trace_id=trace_of(request).trace_id)
        try:
            try:
                refusal = refusal_of(request.version, request.raw_headers)
                if refusal is not None:
                    raise _refused(refusal)
                taken = self._bodies.take(request)
                if taken is None:
                    raise _refused(NO_ROOM)
                response = await self._handler(request)
            except (ProblemError, web.HTTPException, web.RequestPayloadError) as caught:
                error = caught
                response = self._explained(request, _problem(caught))
            except ConnectionError:
                raise
            except Exception as caught:
                error = caught
                logger.exception("failed", path=request.path, **told_of(request))
                response = self._explained(request, problem.of_status(500, {}))
            status = response.status
            return response
        finally:
            self._bodies.give_back(taken or 0)
            seconds = time.perf_counter() - began
            self._metrics.observe(request, status, seconds)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                _log(request, status, seconds, error)
            elif not request.path.endswith(PROBES) and self._trace_lines.take():
                _tell(request, response, status, seconds)
            if span is not None:
                span.end(status, response)
            reset_contextvars(**bound)

    def unreadable(self, request: web.BaseRequest, error: BaseException | None) -> web.Response:
        """The answer to what could not be parsed."""
        explained = _refused(unreadable(error))
        self._metrics.observe(request, explained.status, 0.0)
        return self._explained(request, explained)

    def _explained(self, request: web.BaseRequest, explained: ProblemError) -> web.Response:
        if request.writer.output_size > 0:
            # Part of an answer is sent; another can't follow it.
            raise ConnectionResetError
        response = explained.response(request)
        response.headers[TRACE_ID] = trace_of(request).id
        response.headers[INSTANCE_ID] = self._name
        response.headers[hdrs.SERVER] = SERVER
        return response


def _refused(refusal: Refusal) -> ProblemError:
    return ProblemError(refusal.status, refusal.detail, headers=refusal.headers, close=True)


def _problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, web.HTTPException):
        return problem.of_status(error.status, error.headers)
    return problem.unreadable("The request's body can't be read.")


def _tell(
    request: web.BaseRequest, response: web.StreamResponse | None, status: int, seconds: float
) -> None:
    logger.info(
        "served",
        method=request.method,
        path=request.path,
        status=status,
        seconds=round(seconds, 4),
        **told_of(request, response),
    )


def _log(
    request: web.BaseRequest, status: int, seconds: float, error: BaseException | None
) -> None:
    cause = error.__cause__ if error is not None else None
    logger.warning(
        "request failed",
        method=request.method,
        path=request.path,
        status=status,
        seconds=round(seconds, 4),
        **told_of(request),
        error=str(cause or error or ""),
    )


class GatewayProtocol(ClientConnection):
    """A connection whose errors are problems, also before there is a request."""

    __slots__ = ("_answers",)

    def __init__(self, answers: Answers, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._answers = answers

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP; nobody is left to answer where the client has gone."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError from exc
        return self._answers.unreadable(request, exc)


class GatewayServer(web.Server):
    """Makes a `GatewayProtocol` of each connection."""

    def __init__(self, answers: Answers, options: Mapping[str, Any], server: web.Server) -> None:
        super().__init__(
            answers,
            request_factory=server.request_factory,
            handler_cancellation=True,
        )
        self._answers = answers
        self._options = options

    def __call__(self) -> GatewayProtocol:
        """A new connection."""
        return GatewayProtocol(self._answers, self, loop=self._loop, **self._options)


class GatewayRunner(web.AppRunner):
    """Runs the gateway's application with its bounds."""

    def __init__(self, app: web.Application, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        super().__init__(app, shutdown_timeout=drain_seconds)

    @property
    def open_connections(self) -> int:
        """Connections of clients, idle ones too."""
        return len(self.server.connections) if self.server is not None else 0

    async def leave(self, site: web.TCPSite, seconds: float) -> None:
        """Leave without a request lost: say so, serve on, listen no more, serve what still comes.

        From the first moment each answer ends its connection, so that none is kept which would
        be closed under a request; and `/readyz` tells the balancers that ask.

        Args:
            site: where it listens.
            seconds: so long it goes on listening, for the balancers that ask.
        """
        self.app[STOPPING].set()
        await asyncio.sleep(seconds)
        await nobody_waits(site)
        await site.stop()
        await asyncio.sleep(LAST_REQUEST_SECONDS)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        answers = Answers(
            server.request_handler,
            self.app[METRICS],
            self.app[NAME],
            self.app[TRACE_LINES],
            self.app.get(REQUEST_SPANS),
        )
        return GatewayServer(answers, OPTIONS, server)


async def nobody_waits(site: web.TCPSite) -> None:
    """Return at a moment when no connection waits: one that the kernel still held would be reset,
    and its client could not know whether the request was read. uvloop takes all that wait at
    once; asyncio makes a transport of what it took a moment later, and abandons it where the
    listening has ended by then: hence two such moments in a row."""
    server = site._server  # noqa: SLF001 (aiohttp has no way)
    await nobody_connects(server.sockets if server is not None else ())  # type: ignore[attr-defined]


async def nobody_connects(listening: Sequence[Any]) -> None:
    """As `nobody_waits`, of sockets that listen on this loop."""
    quiet = 0
    for _ in range(QUIET_MOMENTS):
        quiet = 0 if select.select(listening, (), (), 0)[0] else quiet + 1
        if quiet == QUIET_IN_A_ROW:
            return
        await asyncio.sleep(0)
