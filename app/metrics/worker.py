"""All metrics of a worker, in one registry."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from app.listeners import Listeners
from app.metrics.asked import Asked, Member
from app.metrics.guards import GuardMetrics
from app.metrics.loop import LoopLag
from app.metrics.sagas import SagaMetrics
from app.metrics.streams import StreamMetrics
from app.saga import Saga
from app.streaming.table import ChunkTable
from app.topics import GROUP_PREFIX


class WorkerMetrics:
    """What a worker counts of its services, apart from HTTP (`app.web.metrics`).

    Attributes:
        listeners: to be told what is counted.
        members: the apps that are shown, by their services.
        tables: the tables that are shown, by their names.
        loop: must be watched, as long as the process runs.
    """

    def __init__(self, registry: CollectorRegistry, saga: Saga) -> None:
        sagas, streams, guards = (
            SagaMetrics(registry, saga),
            StreamMetrics(registry),
            GuardMetrics(registry),
        )
        self.loop = LoopLag(registry)
        self.members: dict[str, Member] = {}
        self.tables: Mapping[str, ChunkTable] = {}
        Asked(
            registry,
            members=self.members,
            group=lambda service: GROUP_PREFIX + service,
            tables=lambda: self.tables,
        )
        self.listeners = Listeners(
            orders_stored=sagas.orders_stored,
            payments_stored=sagas.payments_stored,
            backlog=sagas.backlog,
            late=streams.late,
            stock_refused=guards.stock_refused,
            locks=guards.locks,
            sent=streams.sent,
            group=streams.group,
            table=streams.table,
        )
