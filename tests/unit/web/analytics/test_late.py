"""Late events are counted for Prometheus."""

from prometheus_client import REGISTRY

from app.agents.registry import build_service
from app.topics import ORDER
from tests.tables import MemoryTable, record
from tests.unit.agents.fakes import resources
from tests.unit.web.analytics.conftest import NOON, confirmed

DAY_MINUTES = 24 * 60


async def test_events_too_late_for_their_windows_are_counted_by_topic() -> None:
    def counted() -> float:
        labels = {"topic": ORDER.name}
        return REGISTRY.get_sample_value("late_events_total", labels) or 0.0

    service = build_service("analytics", resources())
    service.tables[ORDER.name] = MemoryTable()
    arrived = round(NOON.timestamp() * 1000)
    before = counted()
    for offset, days_ago in enumerate((0, 60, 61)):
        event = confirmed(offset, -days_ago * DAY_MINUTES)
        await service.handle([service.decode(record(event, offset, arrived=arrived))])

    assert before + 2 == counted()
