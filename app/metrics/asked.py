"""Lag, readiness, recovery and tables: asked for when they are scraped, and not kept.

So what a worker no longer has (a partition, a table's part) is shown no more, at once.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.streaming.lag import Partition
from app.streaming.table import ChunkTable


class Member(Protocol):
    """A service's app, as a member of its consumer group."""

    @property
    def ready(self) -> bool:
        """Whether it takes part, and has its tables."""
        ...

    @property
    def recovering(self) -> bool:
        """Whether its tables are being read back."""
        ...

    def lag(self) -> Mapping[Partition, int]:
        """Records that are not finished, of each partition that it holds."""
        ...

    def stuck(self) -> Mapping[Partition, float]:
        """For how many seconds each of them has been behind without moving."""
        ...


class Asked(Collector):
    """What a worker's services and tables say of themselves.

    Args:
        members: the apps, by their services.
        group: the consumer group of a service.
        tables: the tables of this process, by name.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        members: Mapping[str, Member],
        group: Callable[[str], str],
        tables: Callable[[], Mapping[str, ChunkTable]],
    ) -> None:
        self._members = members
        self._group = group
        self._tables = tables
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Their names, for the registry."""
        return [*_of_members(), *_of_tables()]

    def collect(self) -> Iterable[Metric]:
        """All of it, as of now."""
        lag, stuck, ready, recovering = _of_members()
        for service, member in self._members.items():
            group = self._group(service)
            ready.add_metric([service], float(member.ready))
            recovering.add_metric([service], float(member.recovering))
            for tp, behind in member.lag().items():
                lag.add_metric([tp.topic, str(tp.partition), group], float(behind))
            for tp, seconds in member.stuck().items():
                stuck.add_metric([tp.topic, str(tp.partition), group], seconds)
        size, keys, memory = _of_tables()
        for name, table in self._tables().items():
            figures = table.figures()
            size.add_metric([name], float(figures.disk_bytes))
            keys.add_metric([name], float(figures.keys))
            memory.add_metric([name], float(figures.memtable_bytes))
        return [lag, stuck, ready, recovering, size, keys, memory]


def _of_members() -> tuple[Any, Any, Any, Any]:
    return (
        GaugeMetricFamily(
            "kafka_consumer_lag",
            "Records of a partition that this worker holds and has not finished",
            labels=["topic", "partition", "group"],
        ),
        GaugeMetricFamily(
            "consumer_stuck_seconds",
            "Time for which a partition that this worker holds has been behind without moving",
            labels=["topic", "partition", "group"],
        ),
        GaugeMetricFamily(
            "service_ready",
            "Whether the service takes part in its group and has its tables",
            labels=["service"],
        ),
        GaugeMetricFamily(
            "worker_recovering", "Whether its tables are being read back", labels=["service"]
        ),
    )


def _of_tables() -> tuple[Any, Any, Any]:
    return (
        GaugeMetricFamily("rocksdb_bytes", "Size of a table on the disk", labels=["table"]),
        GaugeMetricFamily("rocksdb_keys", "Keys of a table, estimated", labels=["table"]),
        GaugeMetricFamily(
            "rocksdb_memtable_bytes", "What a table has not yet put on the disk", labels=["table"]
        ),
    )
