"""The worker's web server: what comes before a request is one, and must be answered all the same.

Faust's server answers what is not HTTP with plain text that says it all again, a token among it,
and logs a traceback for each.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import faust
from aiohttp import hdrs, web

from app.connection import (
    NO_ROOM,
    SERVER,
    Bodies,
    ClientConnection,
    Refusal,
    refusal_of,
    unreadable,
)
from app.web import metrics, problems
from app.web.middleware import INSTANCE_HEADER
from app.web.problems import ProblemError
from app.web.tracing import TRACE_ID_HEADER, trace_of

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def serve_with(app: faust.App, name: str) -> None:
    """Have the web server of `app`, which has not started, be one of these.

    Args:
        name: the worker's.
    """
    app.web._runner = WorkerRunner(app.web.web_app, name)  # noqa: SLF001 (Faust has no way)


class WorkerRunner(web.AppRunner):
    """Runs a worker's application."""

    __slots__ = ("_name",)

    def __init__(self, app: web.Application, name: str) -> None:
        super().__init__(app, access_log=None)
        self._name = name

    async def _make_server(self) -> web.Server:
        return WorkerServer(await super()._make_server(), self._name)


class WorkerServer(web.Server):
    """Makes a `WorkerConnection` of each connection."""

    def __init__(self, server: web.Server, name: str) -> None:
        self._options = server._kwargs  # noqa: SLF001 (what the application was made with)
        super().__init__(
            _explained(server.request_handler, name),
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
        )
        self._name = name

    def __call__(self) -> ClientConnection:
        """A new connection."""
        return WorkerConnection(self, self._name, loop=self._loop, **self._options)


class WorkerConnection(ClientConnection):
    """A connection whose errors are problems, also before there is a request."""

    __slots__ = ("_name",)

    def __init__(self, server: web.Server, name: str, **options: Any) -> None:
        super().__init__(server, **options)
        self._name = name

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP; nobody is left to answer where the client has gone."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError from exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        return _refused(unreadable(exc), request, self._name)


def _explained(handler: Handler, name: str) -> Handler:
    """Around the application: refuses heads, and explains what aiohttp refuses by itself."""

    bodies = Bodies()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        refusal = refusal_of(request.version, request.raw_headers)
        if refusal is not None:
            return _refused(refusal, request, name)
        taken = bodies.take(request)
        if taken is None:
            return _refused(NO_ROOM, request, name)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return problems.of_status(error.status, error.headers).response(request)
        finally:
            bodies.give_back(taken)

    return handle


def _refused(refusal: Refusal, request: web.BaseRequest, name: str) -> web.Response:
    """The answer to what the application never sees, and whose hooks don't either."""
    metrics.count_unreadable(refusal.status)
    response = ProblemError(refusal.status, refusal.detail, headers=refusal.headers).response(
        request
    )
    response.headers[TRACE_ID_HEADER] = trace_of(request).id
    response.headers[INSTANCE_HEADER] = name
    response.headers[hdrs.SERVER] = SERVER
    response.force_close()
    return response
