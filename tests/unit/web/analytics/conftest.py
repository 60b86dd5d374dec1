"""The analytics views over two workers' tables in memory: this one's, and another's."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import faust
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.agents.analytics import AnalyticsService
from app.events import EventData, Item, OrderCancelled, OrderConfirmed, OrderPlaced
from app.resources import Resources
from app.settings import Settings
from app.tables.reading import Part, Question
from app.topics import ORDER_WINDOWS, TABLES
from app.web import application_options
from app.web.analytics import mount
from app.web.analytics.gathering import Gatherer
from app.web.analytics.parts import held_parts
from tests.openapi import Reference, of_worker
from tests.tables import MemoryTable, record

OWN, OTHER = "http://127.0.0.1:6066", "http://127.0.0.1:6067"
PARTITIONS = 4
HOUR = 3600
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = Settings(
    topic_partitions=PARTITIONS,
    cluster_token="secret",
    analytics_grace_seconds=HOUR,
    analytics_idle_seconds=30,
)


def order(number: int, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    """The fields of an order's event, placed so long after noon."""
    return {
        "order_id": f"00000000-0000-4000-8000-{number:012d}",
        "user_id": f"user-{number % 5}",
        "items": (Item(product_id="cup", quantity=2, price=1.25),),
        "total": 2.5,
        "country": "France",
        "placed_at": NOON + timedelta(minutes=minutes),
        **changes,
    }


def placed(number: int, minutes: float = 0, **changes: Any) -> OrderPlaced:
    return OrderPlaced(**order(number, minutes, **changes), fingerprint="f" * 16)


def confirmed(number: int, minutes: float = 0, **changes: Any) -> OrderConfirmed:
    return OrderConfirmed(**order(number, minutes, **changes))


def cancelled(number: int, minutes: float = 0, **changes: Any) -> OrderCancelled:
    return OrderCancelled(**order(number, minutes, **changes), reason="OUT_OF_STOCK")


@dataclass
class Cluster:
    """What the tables hold, who owns which partition, and who is away."""

    client: TestClient[Any, Any]
    resources: Resources
    own_tables: dict[str, MemoryTable]
    other_tables: dict[str, MemoryTable]
    clock: list[datetime]
    away: set[str]
    asked: list[Sequence[int]]
    _offsets: dict[int, int] = field(default_factory=dict)

    @property
    def own(self) -> MemoryTable:
        """The orders' windows here."""
        return self.own_tables[ORDER_WINDOWS.name]

    @property
    def other(self) -> MemoryTable:
        """The orders' windows at the other worker."""
        return self.other_tables[ORDER_WINDOWS.name]

    async def hear(self, partition: int, *events: EventData, arrived: float = 0) -> None:
        """Records of one partition, that came so many minutes after noon."""
        tables = self.own_tables if partition % 2 == 0 else self.other_tables
        service = AnalyticsService.from_resources(self.resources)
        for spec in TABLES:
            service.tables[spec.source.name] = tables[spec.name]
        at = round((NOON + timedelta(minutes=arrived)).timestamp() * 1000)
        batch = []
        for event in events:
            offset = self._offsets.get(partition, 0)
            self._offsets[partition] = offset + 1
            one = record(event, offset, arrived=at, partition=partition)
            batch.append(service.decode(one))
        await service.handle(batch)

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path)
        document = await answer.json(content_type=None)
        assert status == answer.status, document
        return document


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    own = {spec.name: MemoryTable() for spec in TABLES}
    other = {spec.name: MemoryTable() for spec in TABLES}
    away: set[str] = set()
    clock, asked = [NOON], []
    for partition in range(PARTITIONS):
        for table in (own if partition % 2 == 0 else other).values():
            table.partitions[partition] = {}

    async def owners(*, anew: bool = False) -> dict[str, dict[int, str]]:
        return {
            spec.changelog: {
                n: OWN if n % 2 == 0 else OTHER
                for n in range(PARTITIONS)
                if (OWN if n % 2 == 0 else OTHER) not in away
            }
            for spec in TABLES
        }

    async def fetch(
        url: str, table: str, question: Question, partitions: Sequence[int]
    ) -> list[Part]:
        assert url == OTHER
        asked.append(partitions)
        return await held_parts(other[table], question, partitions)

    resources = Resources(
        SETTINGS,
        *cast("tuple[Any, Any, Any]", (None, None, None)),
        clock=lambda: clock[0],
        tables=cast("Any", own),
    )
    app = faust.App(
        "analytics-test",
        broker="kafka://127.0.0.1:1",
        store="memory://",
        autodiscover=False,
        web_application_options=application_options(SETTINGS),
    )
    gather = Gatherer(OWN, cast("Any", resources.tables), owners, fetch, PARTITIONS, 5.0)
    mount(app, resources, gather)
    app.web.init_server()
    reference = Reference(of_worker())
    app.web.web_app.on_response_prepare.append(reference.note)
    async with TestClient(TestServer(app.web.web_app)) as client:
        yield Cluster(client, resources, own, other, clock, away, asked)
    assert [] == reference.faults
