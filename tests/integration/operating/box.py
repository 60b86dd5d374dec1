"""A service's topic and its dead letters, and what is done with them."""

from collections.abc import Sequence
from typing import Any

from aiokafka.structs import ConsumerRecord

from app.operating.acting import Acting
from app.operating.broker import Broker
from app.operating.handled import State
from app.operating.listing import Listing, Page
from app.resources import utc_now
from app.streaming.dead_letters import DeadLetter
from app.streaming.publisher import OutRecord
from app.topics import TopicSpec
from infra.local.testing import LocalServers
from tests.kafka import producing, read_all

HEADERS = [("ce_id", b"1"), ("ce_type", b"MovieViewed"), ("traceparent", b"00-1-2-01")]
KEY = b"825c73c6-9624-5263-ae7d-10ab655ee73f"


async def send(kafka: str, *records: OutRecord) -> Sequence[int]:
    """Send records one after the other; their offsets."""
    async with producing(kafka) as producer:
        sent = [
            await producer.send_and_wait(
                each.topic, each.value, each.key, each.partition, None, each.headers
            )
            for each in records
        ]
    return [each.offset for each in sent]


class Box:
    """A service's topic and its dead letters, and what is done with them."""

    def __init__(self, servers: LocalServers, broker: Broker, database: Any, of: TopicSpec) -> None:
        self.kafka = servers.kafka
        self.of = of
        self.database = database
        self.now = utc_now()
        self.listing = Listing(broker, database)
        self.acting = Acting(broker, database, lambda: self.now)

    async def bury(self, *originals: OutRecord, group: str = "orders-payment") -> None:
        """Send records, and give each up."""
        offsets = await send(self.kafka, *originals)
        letters = [
            self.letter(each, offset, group)
            for each, offset in zip(originals, offsets, strict=True)
        ]
        await send(self.kafka, *(letter.out() for letter in letters))

    @staticmethod
    def letter(original: OutRecord, offset: int, group: str = "orders-payment") -> DeadLetter:
        record: ConsumerRecord[Any, Any] = ConsumerRecord(
            original.topic,
            original.partition or 0,
            offset,
            1,
            0,
            original.key,
            original.value,
            None,
            0,
            0,
            tuple(original.headers),
        )
        return DeadLetter(record, "unprocessable", "TypeError: x", group)

    async def page(self, state: State | None = State.OPEN, **asked: Any) -> Page:
        return await self.listing.page(self.of.dead_letters, state=state, **{"limit": 50, **asked})

    async def ids(self, state: State | None = State.OPEN, **asked: Any) -> list[str]:
        return [shown.letter.id for shown in (await self.page(state, **asked)).letters]

    async def in_topic(self, partition: int) -> list[Any]:
        """The records of a partition of the service's topic."""
        records = await read_all(self.kafka, self.of.name)
        return [record for record in records if record.partition == partition]
