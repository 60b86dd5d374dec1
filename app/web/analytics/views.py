"""`/analytics`: answers over the windows of all partitions, from any worker."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from app.tables.keys import By
from app.web.analytics import asking
from app.web.analytics.feed import Feed
from app.web.analytics.orders import Metric, OrderAnswers
from app.web.answers import json_response
from app.web.parameters import choice, whole_number

TOP_DEFAULT = 10
TOP_MOST = 1000
# What changes every moment is given out by nobody in between without asking; but for our own
# gateway, which has some of it for a second and says so (gateway/caching.py).
FRESH = {"Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class AnalyticsViews:
    """The views of the orders' analytics.

    Attributes:
        sizes: of the windows that are kept, in seconds.
        dimensions: that they are kept by.
    """

    answers: OrderAnswers
    feed: Feed
    sizes: tuple[int, ...]
    dimensions: tuple[By, ...]

    async def summary(self, request: web.Request) -> web.Response:
        """`GET /analytics`: over everything."""
        allowed = asking.allow_partial(request.query)
        return fresh(await self.answers.summary(allow_partial=allowed))

    async def windows(self, request: web.Request) -> web.Response:
        """`GET /analytics/windows`."""
        asked = asking.windows(request.query, self.sizes, self.dimensions)
        return fresh(await self.answers.windows(asked))

    async def top(self, request: web.Request) -> web.Response:
        """`GET /analytics/top`: the products of one window."""
        query = request.query
        return fresh(
            await self.answers.top(
                choice(query, "metric", Metric) or Metric.REVENUE,
                asking.window_size(query, self.sizes, default=self.sizes[-1]),
                asking.instant(query, "at"),
                whole_number(query, "n", default=TOP_DEFAULT, most=TOP_MOST),
                allow_partial=asking.allow_partial(query),
            )
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """`GET /analytics/stream`."""
        return await self.feed.get(request)


def fresh(document: Mapping[str, object]) -> web.Response:
    """An answer that is true now."""
    return json_response(document, headers=FRESH)
