"""Queries over the analytics tables of all workers, answered by any of them.

| module        | holds |
| owners.py     | which worker owns which partition now |
| parts.py      | what a worker answers from its own partitions, and how that travels |
| gathering.py  | asking all owners, and seeing to it that no partition is missing |
| queries.py    | questions about one table, whichever it is |
| asking.py     | what clients ask for |
| orders.py     | the answers about orders |
| happenings.py | the answers about views of movies and actions of users |
| feed.py       | the live summary: server-sent events, and a line of the log |
| views.py      | the HTTP views |

Merging itself is pure: `app.tables.merging`, `app.tables.timing`.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import faust

from app.agents.analytics import ORDER_DIMENSIONS, plan
from app.resources import Resources
from app.saga import SAGAS
from app.stores.listing import pending_courses
from app.tables.folding import WindowFold
from app.tables.keys import By
from app.tables.movies import ACTION_DIMENSIONS, VIEW_DIMENSIONS, HappeningFold
from app.tables.orders import OrderFold
from app.topics import ACTION_WINDOWS, GROUP_PREFIX, ORDER_WINDOWS, VIEW_WINDOWS, TableSpec
from app.web.analytics import parts
from app.web.analytics.feed import Feed, Report
from app.web.analytics.gathering import Gatherer, PartFetcher
from app.web.analytics.happenings import Happenings
from app.web.analytics.orders import OrderAnswers
from app.web.analytics.owners import GroupOwners, KnownOwners, canonical
from app.web.analytics.parts import PartViews
from app.web.analytics.queries import Gather, TableQueries
from app.web.analytics.views import AnalyticsViews
from app.web.flow import FlowViews
from app.web.routes import Route, add_routes

__all__ = ["gatherer", "mount", "table_queries"]

GROUP = GROUP_PREFIX + ORDER_WINDOWS.service
# The partition whose owner speaks for the cluster, so that one worker does.
SPEAKING_PARTITION = 0
MS = 1000

Close = Callable[[Any], Awaitable[None]]


def gatherer(resources: Resources) -> tuple[Gatherer, Close]:
    """Asks the owners of any table's partitions; and a hook that closes its connections."""
    conf = resources.settings
    fetch = PartFetcher(conf.cluster_token)
    group = GroupOwners(conf, GROUP, request_seconds=conf.analytics_query_seconds)

    async def close(_: Any) -> None:
        await fetch.close()
        await group.close()

    gather = Gatherer(
        own_url=canonical(conf.url),
        tables=resources.tables,
        owners=KnownOwners(group, time.monotonic),
        fetch=fetch,
        total=conf.topic_partitions,
        seconds=conf.analytics_query_seconds,
    )
    return gather, close


def table_queries(
    resources: Resources, gather: Gather, spec: TableSpec, fold: WindowFold[Any]
) -> TableQueries:
    """Questions about a table that is folded so."""
    return TableQueries(
        spec,
        fold.decode_tally,
        gather,
        lambda: round(resources.clock().timestamp() * MS),
        grace_seconds=fold.plan.grace_seconds,
        idle_seconds=resources.settings.analytics_idle_seconds,
        retention=fold.plan.retention,
    )


def mount(app: faust.App, resources: Resources, gather: Gather) -> None:
    """Add the views of all tables, and the endpoint for their parts."""
    conf = resources.settings
    windows = plan(conf, ORDER_DIMENSIONS)
    answers = OrderAnswers(table_queries(resources, gather, ORDER_WINDOWS, OrderFold(windows)))
    feed = Feed(answers.summary)
    viewed = plan(conf, VIEW_DIMENSIONS)
    acted = plan(conf, ACTION_DIMENSIONS)
    movies = Happenings(
        table_queries(resources, gather, VIEW_WINDOWS, HappeningFold(viewed)),
        "views",
        viewed.sizes,
        viewed.by,
        ranked_by=By.MOVIE,
    )
    actions = Happenings(
        table_queries(resources, gather, ACTION_WINDOWS, HappeningFold(acted)),
        "actions",
        acted.sizes,
        acted.by,
        ranked_by=By.USER,
    )
    views = AnalyticsViews(answers, feed, windows.sizes, windows.by)
    flow = FlowViews(
        partial(pending_courses, resources.reads),
        partial(answers.summary, allow_partial=True),
        SAGAS[conf.saga_order],
        resources.clock,
        time.monotonic,
    )
    part_views = PartViews(resources.tables, conf.cluster_token)
    add_routes(
        app,
        (
            # Before `/sagas/{orderId}` by its plain path; it needs what the tables know.
            Route("GET", "/sagas/flow", flow.get),
            Route("GET", "/analytics", views.summary),
            Route("GET", "/analytics/windows", views.windows),
            Route("GET", "/analytics/top", views.top),
            Route("GET", "/analytics/stream", views.stream),
            Route("GET", "/movies/top", movies.top),
            Route("GET", "/movies/windows", movies.windows),
            Route("GET", "/actions/top", actions.top),
            Route("GET", "/actions/windows", actions.windows),
            Route("GET", parts.PATH + "/{table}", part_views.get),
        ),
    )

    def speaks() -> bool:
        table = resources.tables.get(ORDER_WINDOWS.name)
        return table is not None and SPEAKING_PARTITION in table.held()

    async def end_streams(_: Any) -> None:
        await feed.close()

    report = Report(answers.summary, speaks, every=conf.analytics_report_seconds)
    web_app = app.web.web_app
    web_app.on_startup.append(report.start)
    web_app.on_shutdown.append(end_streams)
    web_app.on_cleanup.append(report.stop)
