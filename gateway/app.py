"""The gateway's application: its routes, and whom each of its parts belongs to."""

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import hdrs, web

from app.settings import Settings
from gateway.headers import INSTANCE_ID
from gateway.health import watched
from gateway.keys import METRICS, NAME, STOPPING, WORKERS
from gateway.metrics import Metrics
from gateway.own import Own
from gateway.proxy import PREFIX, Proxy
from gateway.tracing import TRACE_ID, trace_of
from gateway.upstream import connections
from gateway.workers import Workers, worker_urls

PROXY = web.AppKey("PROXY", Proxy)


def make_app(settings: Settings) -> web.Application:
    """The application.

    Raises:
        ValueError: `GATEWAY_WORKERS` can't be used.
    """
    app = web.Application(client_max_size=settings.body_max_bytes)
    app[NAME] = settings.gateway_name
    app[METRICS] = Metrics()
    app[WORKERS] = Workers(worker_urls(settings.gateway_workers))
    app[STOPPING] = asyncio.Event()
    app.cleanup_ctx.append(_proxy(settings))
    app.cleanup_ctx.append(_health(settings))
    app.on_shutdown.append(_stopping)
    app.on_response_prepare.append(_say_who)
    _route(app)
    return app


def _route(app: web.Application) -> None:
    own = Own(app[WORKERS], app[NAME], app[STOPPING])
    for path, handler in {
        "/": own.index,
        "/livez": own.livez,
        "/readyz": own.readyz,
        "/metrics": app[METRICS].handle,
        f"{PREFIX}/livez": own.livez,
        f"{PREFIX}/readyz": own.readyz,
        f"{PREFIX}/metrics": app[METRICS].handle,
        f"{PREFIX}/secure": own.secure,
    }.items():
        app.router.add_get(path, handler)
        # Else the next route, to the workers, would take the other methods.
        app.router.add_route(hdrs.METH_ANY, path, own.only_get)
    app.router.add_route(hdrs.METH_ANY, PREFIX, _to_worker)
    app.router.add_route(hdrs.METH_ANY, PREFIX + "/{rest:.*}", _to_worker)


async def _to_worker(request: web.Request) -> web.StreamResponse:
    return await request.app[PROXY].handle(request)


def _proxy(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with connections(settings) as session:
            app[PROXY] = Proxy(settings, app[WORKERS], session)
            yield

    return context


def _health(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with watched(
            app[WORKERS],
            interval_seconds=settings.gateway_health_interval_seconds,
            limit_seconds=settings.gateway_connect_timeout_seconds,
        ):
            yield

    return context


async def _stopping(app: web.Application) -> None:
    app[STOPPING].set()


async def _say_who(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[TRACE_ID] = trace_of(request).id
    response.headers[INSTANCE_ID] = request.app[NAME]
    if request.app[STOPPING].is_set():
        # The connection ends with this answer, and a client that knows sends nothing more on it.
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
