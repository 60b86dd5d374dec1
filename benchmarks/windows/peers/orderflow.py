"""Ours: the analytics service of a worker, with its table in RocksDB and its changelog, and all its
metrics, scraped once a second; `orderflow_unmetered` beside this counts nothing.

The app is the one a worker builds; only the service's plan is the job's, windows of one hour by
country, with the grace that the peers have. `orderflow_all` beside this keeps all the windows that
a worker keeps.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mode.loop

from app import services
from app.agents.analytics import ORDER_DIMENSIONS, AnalyticsService, order_windows, plan
from app.metrics.registry import REGISTRY
from app.metrics.scraping import Scrapes
from app.metrics.worker import WorkerMetrics
from app.resources import Resources
from app.saga import INVENTORY_FIRST
from app.service_app import ServiceApp
from app.settings import settings
from app.tables import keys
from app.tables.folding import Plan
from app.tables.keys import By
from app.tables.tally import Sums
from app.topics import ORDER, ORDER_WINDOWS
from benchmarks.windows.peers.report import GRACE_SECONDS, HOUR_SECONDS, Report, Task

POLL_SECONDS = 0.02
# Five times as often as a Prometheus that is in a hurry.
SCRAPE_SECONDS = 1.0


class Measured(AnalyticsService):
    """The service, that tells the report what is durable."""

    report: Report

    def decode(self, record: Any) -> Any:
        self.report.begin()
        return super().decode(record)

    def decode_all(self, records: Sequence[Any]) -> Any:
        self.report.begin()
        return super().decode_all(records)

    async def handle(self, events: Sequence[Any]) -> Sequence[Any]:
        done = await super().handle(events)
        self.report.add(len(events))
        return done


def the_jobs_plan(everything: Plan) -> Plan:
    """One size, one dimension."""
    kept = {HOUR_SECONDS: everything.retention[HOUR_SECONDS]}
    return replace(everything, retention=kept, by=(By.COUNTRY,), grace_seconds=GRACE_SECONDS)


def build(task: Task, choose: Callable[[Plan], Plan], *, metered: bool = True) -> ServiceApp:
    """The app, which stops as a worker does once all is committed."""
    os.environ |= {
        "KAFKA_BOOTSTRAP_SERVERS": task.bootstrap,
        "DATA_DIR": str(task.state),
        "SERVICES": "analytics",
        "LOG_LEVEL": "warning",
    }
    resources = Resources.connect(settings())
    metrics = WorkerMetrics(REGISTRY, INVENTORY_FIRST)
    if metered:
        metrics.tables, resources.listeners = resources.tables, metrics.listeners
    chosen = choose(plan(settings(), ORDER_DIMENSIONS))
    service = Measured(
        [order_windows(chosen)], shown=resources.tables, listeners=resources.listeners
    )
    service.report = report = Report(task)
    services.build_service = lambda name, resources: service
    app = services.build_app("analytics", resources, main=False)
    if metered:
        services.show(metrics, app, {"analytics": app})
        app.watches += (partial(scrape, app),)

    @app.task
    async def end() -> None:
        while committed(app) < task.events:  # noqa: ASYNC110 (Faust has no event for it)
            await asyncio.sleep(POLL_SECONDS)
        report.end(report.seconds, totals(resources))
        os.kill(os.getpid(), signal.SIGTERM)

    return app


async def scrape(app: ServiceApp) -> None:
    """What Prometheus makes of a worker's time."""
    scrapes = Scrapes(REGISTRY)
    while not app.should_stop:
        await scrapes.text()
        await app.sleep(SCRAPE_SECONDS)


def committed(app: ServiceApp) -> int:
    """Records before the offsets that the group has committed."""
    offsets = app.consumer._committed_offset
    return sum(offset or 0 for tp, offset in offsets.items() if tp.topic == ORDER.name)


def totals(resources: Resources) -> Iterator[tuple[str, int]]:
    """Revenue by hour and country of each partition, out of RocksDB."""
    table = resources.tables[ORDER_WINDOWS.name]
    first = keys.window(HOUR_SECONDS, By.COUNTRY, 0)
    last = keys.window(HOUR_SECONDS, By.COUNTRY, 1 << 40)
    for partition in table.held():
        for key, stored in table.scan(partition, first, last):
            start, country = keys.parse_window(key)
            yield f"{start}|{country}", Sums.decode(stored).revenue


def main(choose: Callable[[Plan], Plan], *, metered: bool = True) -> None:
    mode.loop.use("uvloop")
    app = build(Task.from_command_line(spare_collector=False), choose, metered=metered)
    # As the command line starts it, with our log.
    app.conf.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(the_jobs_plan)
