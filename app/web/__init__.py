"""The HTTP side of every worker: Faust web views, problem+json.

`register` builds the views from a process's resources; each view parses, calls and renders.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import faust
from aiohttp.typedefs import Middleware

from app.connection import KEEPALIVE_SECONDS, LINE_MAX_BYTES
from app.console import FILES, PAGE, Console
from app.events import Event
from app.logs import Allowance
from app.metrics.registry import REGISTRY
from app.metrics.scraping import Scrapes
from app.resources import Resources
from app.saga import SAGAS
from app.settings import Settings
from app.stores import mongo, repositories
from app.stores import movies as movie_stores
from app.stores.idempotency import IdempotencyKeys, Keys
from app.stores.locks import FencedLocks
from app.stores.stock import StockStore
from app.stores.stock_history import StockHistory
from app.stores.users import UserStore
from app.telemetry.spans import Spans
from app.web import analytics, queries
from app.web.acceptance import Acceptor
from app.web.accepted import AcceptedOrders
from app.web.access import authorized
from app.web.batching import BatchedLookup
from app.web.cancelling import Canceller
from app.web.claims import STORED_TIMEOUT_SECONDS
from app.web.deadline import begun, in_time
from app.web.health import HealthViews
from app.web.indexing import Indexing
from app.web.metrics import SERVICE
from app.web.middleware import answered, instance_headers
from app.web.movies import MovieViews
from app.web.operating import operator_views
from app.web.orders import OrderViews
from app.web.participants import PaymentViews, StockViews
from app.web.reading import Reader
from app.web.recorded import request_spans
from app.web.reference import reference_routes
from app.web.routes import Route, add_routes
from app.web.sagas import SagaViews
from app.web.serving import serve_with
from app.web.stocking import Locks, Stocking
from app.web.told import request_traces
from app.web.users import UserViews
from app.web.viewing import Tracker
from app.web.waiting import OrderWatcher

__all__ = ["Route", "add_routes", "application_options", "register"]


def application_options(settings: Settings, spans: Spans | None = None) -> Mapping[str, Any]:
    """What the web server's aiohttp application is made with (`web_application_options`)."""
    recorded = [] if spans is None else [request_spans(spans.of(SERVICE))]
    return {
        "middlewares": [*recorded, *_told(settings), answered, in_time, authorized(settings)],
        "client_max_size": settings.body_max_bytes,
        # Who has left need not be waited for; what must not stop half-way is shielded.
        # Bodies are not inflated: a small one could be made of a gigabyte.
        "handler_args": {
            "handler_cancellation": True,
            "auto_decompress": False,
            "keepalive_timeout": KEEPALIVE_SECONDS,
            "max_line_size": LINE_MAX_BYTES,
            "max_field_size": LINE_MAX_BYTES,
        },
    }


def _told(settings: Settings) -> list[Middleware]:
    if not settings.trace_log_lines:
        return []
    return [request_traces(Allowance(settings.trace_log_lines))]


def register(app: faust.App, resources: Resources) -> None:
    """Add all views to the web server of `app`, made with `application_options`."""
    settings = resources.settings
    keys = IdempotencyKeys(
        resources.redis,
        claim_seconds=claim_seconds(settings),
        ttl_seconds=settings.idempotency_ttl_seconds,
    )
    locks = FencedLocks(
        resources.redis,
        lease_seconds=settings.lock_lease_seconds,
        wait_seconds=settings.lock_wait_seconds,
        observer=resources.listeners.locks,
    )
    mount(app, resources, keys, locks)
    serve_with(app, settings.worker_name)


def claim_seconds(settings: Settings) -> float:
    """How long a post may be under way: all of its time limits together."""
    return (
        settings.redis_timeout_seconds + STORED_TIMEOUT_SECONDS + settings.produce_timeout_seconds
    )


def mount(app: faust.App, resources: Resources, keys: Keys, locks: Locks) -> None:
    """`register` with the given idempotency keys and locks."""
    settings, database = resources.settings, resources.reads
    saga = SAGAS[settings.saga_order]

    # Both are set once the worker has started, so they are looked up when called.
    async def publish(event: Event) -> None:
        await resources.publish(event)

    async def kafka_answers() -> None:
        await resources.kafka_answers()

    def services_ready() -> Mapping[str, bool]:
        return resources.services_ready()

    def stopping() -> bool:
        return resources.stopping()

    accepted = AcceptedOrders(resources.redis, keys)
    orders = BatchedLookup(queries.finder(database, {}))
    watcher = partial(
        OrderWatcher, poll_seconds=settings.wait_poll_seconds, limit=settings.waiters_max
    )
    until_stored = watcher(queries.finder(database, queries.STORED))
    until_ended = watcher(queries.finder(database, queries.ENDED))
    reader = Reader(
        stored=orders.get,
        accepted=accepted,
        until_stored=until_stored,
        until_ended=until_ended,
        grace_seconds=settings.read_your_writes_seconds,
    )
    order_views = OrderViews(
        acceptor=Acceptor(
            keys=keys,
            remember=accepted.remember,
            publish=publish,
            stored=orders.get,
            clock=resources.clock,
            publish_seconds=settings.produce_timeout_seconds,
        ),
        canceller=Canceller(
            reader=reader,
            saga=saga,
            publish=publish,
            clock=resources.clock,
            publish_seconds=settings.produce_timeout_seconds,
        ),
        reader=reader,
        database=database,
        saga=saga,
        max_items=settings.order_max_items,
        max_wait=settings.wait_max_seconds,
    )
    stock_views = StockViews(
        database,
        Stocking(
            stock=StockStore(
                database[repositories.STOCK], on_refused=resources.listeners.stock_refused
            ),
            history=StockHistory(database),
            locks=locks,
            clock=resources.clock,
            write_seconds=settings.mongo_timeout_seconds,
        ),
    )
    payments = repositories.payments(database)
    payment_views = PaymentViews(payments.get, reader.find)
    saga_views = SagaViews(database, reader, payments.load, saga, resources.clock)
    user_views = UserViews(UserStore(database), resources.clock)
    movie_views = MovieViews(
        tracker=Tracker(
            keys=keys,
            publish=publish,
            stored=movie_stores.views(database).get,
            clock=resources.clock,
            publish_seconds=settings.produce_timeout_seconds,
        ),
        database=database,
        stored=movie_stores.movies(database).get,
    )
    operating_views = operator_views(resources)
    health_views = HealthViews(
        pings={
            "mongodb": partial(mongo.ping, database),
            "redis": partial(_ping, resources),
            "kafka": kafka_answers,
        },
        services_ready=services_ready,
        stopping=stopping,
        scraped=Scrapes(REGISTRY).text,
    )
    add_routes(
        app,
        (
            Route("POST", "/orders", order_views.post),
            Route("GET", "/orders", order_views.list),
            Route("GET", "/orders/{orderId}", order_views.get),
            Route("POST", "/orders/{orderId}/cancel", order_views.cancel),
            Route("GET", "/inventory", stock_views.list),
            Route("GET", "/inventory/{productId}", stock_views.get),
            Route("PUT", "/inventory/{productId}", stock_views.put),
            Route("GET", "/inventory/{productId}/history", stock_views.history),
            Route("GET", "/payments/{orderId}", payment_views.get),
            Route("GET", "/sagas", saga_views.list),
            Route("GET", "/sagas/{orderId}", saga_views.get),
            Route("GET", "/users", user_views.list),
            Route("POST", "/users", user_views.post),
            Route("GET", "/users/{userId}", user_views.get),
            Route("GET", "/movies", movie_views.list),
            Route("GET", "/movies/{movieId}", movie_views.get),
            Route("POST", "/movies/{movieId}/views", movie_views.post),
            Route("GET", "/topics", operating_views.topics),
            Route("GET", "/topics/{topic}/messages", operating_views.messages),
            Route("GET", "/groups", operating_views.groups),
            Route("GET", "/dlq", operating_views.letters),
            Route("POST", "/dlq/{topic}/replay", operating_views.replay),
            Route("POST", "/dlq/{topic}/discard", operating_views.discard),
            Route("GET", "/livez", health_views.live),
            Route("GET", "/readyz", health_views.ready),
            Route("GET", "/metrics", health_views.metrics),
            *reference_routes(),
            *console_routes(),
        ),
    )
    web_app = app.web.web_app
    web_app.on_response_prepare.append(begun)
    web_app.on_response_prepare.append(instance_headers(settings.worker_name, stopping))

    async def let_waiters_go(_: Any) -> None:
        await until_stored.close()
        await until_ended.close()

    web_app.on_shutdown.append(let_waiters_go)
    # Building an index over many documents takes longer than a read may.
    indexing = Indexing(partial(repositories.ensure_indexes, resources.database))
    web_app.on_startup.append(indexing.start)
    web_app.on_cleanup.append(indexing.stop)
    gather, close_gatherer = analytics.gatherer(resources)
    analytics.mount(app, resources, gather)
    web_app.on_cleanup.append(close_gatherer)


def console_routes() -> tuple[Route, ...]:
    """The routes of the console; they are no part of the API's reference."""
    console = Console()
    return Route("GET", PAGE, console.page), Route("GET", FILES, console.file)


async def _ping(resources: Resources) -> None:
    await resources.redis.ping()
