"""What gateways do together by Redis: rate limits, the read cache, the shared counter."""

from collections.abc import AsyncIterator

from aiohttp import web

from app.settings import Settings
from gateway.caching import CACHE, SCRIPTS, Cache
from gateway.keys import METRICS, SHARED
from gateway.limiting import CHECK_SCRIPT, LIMITER, Limiter, say_limits
from gateway.shared import Shared


def share(app: web.Application, settings: Settings) -> None:
    """Give the application its Redis, and the parts that need it.

    Raises:
        ValueError: a setting can't be used.
    """
    metrics = app[METRICS]
    shared = app[SHARED] = Shared(
        settings.redis_url,
        settings.gateway_redis_timeout_seconds,
        metrics,
        (CHECK_SCRIPT, *SCRIPTS),
    )
    app[LIMITER] = Limiter(settings, shared, metrics)
    cache = app[CACHE] = Cache(shared, metrics)

    async def context(_app: web.Application) -> AsyncIterator[None]:
        await shared.start()
        yield
        await cache.close()
        await shared.close()

    app.cleanup_ctx.append(context)
    app.on_response_prepare.append(say_limits)
