"""Late events are counted for Prometheus."""

from prometheus_client import CollectorRegistry

from app.agents.registry import build_service
from app.metrics.worker import WorkerMetrics
from app.saga import INVENTORY_FIRST
from app.topics import ORDER
from tests.metrics import Figures
from tests.tables import MemoryTable, record
from tests.unit.agents.fakes import resources
from tests.unit.web.analytics.conftest import NOON, confirmed

DAY_MINUTES = 24 * 60


async def test_events_too_late_for_their_windows_are_counted_by_topic() -> None:
    registry, shared = CollectorRegistry(), resources()
    shared.listeners = WorkerMetrics(registry, INVENTORY_FIRST).listeners
    service = build_service("analytics", shared)
    service.tables[ORDER.name] = MemoryTable()
    arrived = round(NOON.timestamp() * 1000)
    for offset, days_ago in enumerate((0, 60, 61)):
        event = confirmed(offset, -days_ago * DAY_MINUTES)
        await service.handle([service.decode(record(event, offset, arrived=arrived))])

    assert {ORDER.name: 2} == Figures.of(registry).by("late_events_total", "topic")
