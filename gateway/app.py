"""The gateway's application: its routes, and whom each of its parts belongs to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler

from app.connection import SERVER
from app.console import FILES, PAGE, Console
from app.identity.configured import issuer_of
from app.logs import Allowance
from app.reference import EVENTS, GATEWAY, Shipped
from app.settings import Settings
from app.telemetry.spans import Spans
from gateway.auth import SECURE, TOKEN, Secure, authenticated
from gateway.bulkhead import Kind
from gateway.caching import cached
from gateway.counting import Counter
from gateway.dashboard import DashboardView
from gateway.headers import INSTANCE_ID
from gateway.health import watched
from gateway.keys import (
    CALL_SPANS,
    METRICS,
    NAME,
    REQUEST_SPANS,
    SHARED,
    STOPPING,
    TRACE_LINES,
    WORKERS,
)
from gateway.lessons import Lessons
from gateway.limiting import LIMITED_PATH, limited
from gateway.metrics import Metrics
from gateway.naming import Names
from gateway.own import Own
from gateway.paying import Paying
from gateway.pool import Pool
from gateway.proxy import PREFIX, Answer, Proxy
from gateway.sharing import share
from gateway.spans import SERVICE, CallSpans, RequestSpans
from gateway.tokens import TokenView
from gateway.tracing import TRACE_ID, trace_of
from gateway.upstream import connections
from gateway.workers import Workers, worker_urls

PROXY = web.AppKey("PROXY", Proxy)


def make_app(settings: Settings) -> web.Application:
    """The application.

    Raises:
        ValueError: `GATEWAY_WORKERS` or another setting can't be used.
    """
    app = web.Application(
        middlewares=[authenticated(settings), limited, cached],
        client_max_size=settings.body_max_bytes,
    )
    app[NAME] = settings.gateway_name
    app[METRICS] = Metrics()
    names = Names(settings.gateway_workers) if settings.gateway_resolve_seconds else None
    app[WORKERS] = Workers(
        worker_urls(settings.gateway_workers) if names is None else (),
        balancing=settings.gateway_balancing,
        limits={
            Kind.ORDINARY: settings.gateway_ordinary_max,
            Kind.HELD: settings.gateway_held_max,
        },
    )
    app[METRICS].watch(app[WORKERS])
    app[STOPPING] = asyncio.Event()
    app[TRACE_LINES] = Allowance(settings.trace_log_lines)
    _record(app, settings)
    share(app, settings)
    app.cleanup_ctx.append(_loop_lag)
    app.cleanup_ctx.append(_proxy(settings))
    app.cleanup_ctx.append(_health(settings, names))
    app.on_shutdown.append(_stopping)
    app.on_response_prepare.append(_say_who)
    _teach(app, settings)
    _route(app, settings)
    return app


def _route(app: web.Application, settings: Settings) -> None:
    own = Own(app[WORKERS], app[STOPPING])
    counter = Counter(app[SHARED], app[NAME])
    console = Console(PREFIX)
    for path, handler in {
        PAGE: console.page,
        FILES: console.file,
        "/livez": own.livez,
        "/readyz": own.readyz,
        "/metrics": app[METRICS].handle,
        f"{PREFIX}/livez": own.livez,
        f"{PREFIX}/readyz": own.readyz,
        f"{PREFIX}/metrics": app[METRICS].handle,
        f"{PREFIX}/breakers": own.breakers,
        f"{PREFIX}/count": counter.count,
        LIMITED_PATH: counter.limited,
        **_reference(),
        SECURE: Secure(in_development=settings.in_development).get,
    }.items():
        app.router.add_get(path, handler)
        # Else the next route, to the workers, would take the other methods.
        app.router.add_route(hdrs.METH_ANY, path, own.only_get)
    tokens = TokenView(issuer_of(settings))
    app.router.add_post(TOKEN, tokens.post)
    app.router.add_route(hdrs.METH_ANY, TOKEN, tokens.only_post)
    app.router.add_route(hdrs.METH_ANY, PREFIX, _to_worker)
    app.router.add_route(hdrs.METH_ANY, PREFIX + "/{rest:.*}", _to_worker)


def _reference() -> dict[str, Handler]:
    """The API's documents, at the root and under `/api`."""
    api, events = Shipped(GATEWAY), Shipped(EVENTS)
    found = {"/openapi.json": api.json, "/docs": api.html, "/asyncapi.json": events.json}
    return {prefix + path: handler for prefix in ("", PREFIX) for path, handler in found.items()}


def _teach(app: web.Application, settings: Settings) -> None:
    """The answers that are put together here, and the lessons."""
    pool = Pool(settings.cpu_bound_processes, settings.cpu_bound_queue)

    async def context(_app: web.Application) -> AsyncIterator[None]:
        yield
        await pool.close()

    def call(method: str, target: str, **options: Any) -> Awaitable[Answer]:
        return app[PROXY].call(method, target, **options)  # which is there once the app has begun

    app.cleanup_ctx.append(context)
    lessons = Lessons(app[NAME], pool)
    own = Own(app[WORKERS], app[STOPPING])
    for path, handler in {
        f"{PREFIX}/dashboard": DashboardView(call, settings.dashboard_part_seconds).get,
        f"{PREFIX}/blocking": lessons.blocking,
        f"{PREFIX}/non-blocking": lessons.non_blocking,
        f"{PREFIX}/cpu-bound": lessons.cpu_bound,
    }.items():
        app.router.add_get(path, handler)
        app.router.add_route(hdrs.METH_ANY, path, own.only_get)
    paying = Paying(
        call,
        wait_seconds=settings.pay_wait_seconds,
        limit_seconds=settings.gateway_timeout_seconds,
        body_max=settings.body_max_bytes,
    )
    app.router.add_post(f"{PREFIX}/pay", paying.pay)
    app.router.add_route(hdrs.METH_ANY, f"{PREFIX}/pay", paying.only_post)


def _record(app: web.Application, settings: Settings) -> None:
    """Have the spans of its requests go where the settings say."""
    spans = Spans.from_settings(settings)
    if spans is None:
        return
    recorder = spans.of(SERVICE)
    app[REQUEST_SPANS] = RequestSpans(recorder)
    app[CALL_SPANS] = CallSpans(recorder)

    async def close(_: web.Application) -> None:
        await spans.close()

    app.on_cleanup.append(close)


async def _to_worker(request: web.Request) -> web.StreamResponse:
    return await request.app[PROXY].handle(request)


def _proxy(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with connections(settings) as sessions:
            app[PROXY] = Proxy(settings, app[WORKERS], sessions, app[METRICS], app.get(CALL_SPANS))
            yield

    return context


async def _loop_lag(app: web.Application) -> AsyncIterator[None]:
    watching = asyncio.create_task(app[METRICS].loop.watch())
    yield
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def _health(
    settings: Settings, names: Names | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with watched(
            app[WORKERS],
            interval_seconds=settings.gateway_health_interval_seconds,
            limit_seconds=settings.gateway_connect_timeout_seconds,
            names=names,
            resolve_seconds=settings.gateway_resolve_seconds,
        ):
            yield

    return context


async def _stopping(app: web.Application) -> None:
    app[STOPPING].set()


async def _say_who(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[TRACE_ID] = trace_of(request).id
    response.headers[INSTANCE_ID] = request.app[NAME]
    if response.headers.get(hdrs.SERVER) == SERVER_SOFTWARE:
        response.headers[hdrs.SERVER] = SERVER
    if request.app[STOPPING].is_set():
        # The connection ends with this answer, and a client that knows sends nothing more on it.
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
