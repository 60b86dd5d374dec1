"""Audit service: keeps every event, once, with the place in the log where it was first heard.

Consumes: every topic of the registry. Produces: nothing.
Stores: audit, one document an event id, never changed. Compensates: nothing.

Topics forget after their retention, this does not. An event that comes again, at whatever offset,
is the same event and adds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.codec import decode
from app.events import Event, OrderEventData
from app.resources import Resources
from app.stores.mongo import Document
from app.stores.repositories import append_audit
from app.streaming import OutRecord
from app.topics import BY_NAME


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, and the record (`topic`, `partition`, `offset`, `key`) that carried it."""

    record: Any
    event: Event


class AuditService:
    """Adds to the audit what it hears."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._database = resources.database

    @property
    def topics(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(BY_NAME)

    @staticmethod
    def decode(record: Any) -> Heard:
        """The event together with its record.

        Raises:
            UndecodableError: it is no event of its topic.
        """
        topic = BY_NAME[record.topic]
        return Heard(record, decode(topic, record.key, record.value, record.headers))

    async def handle(self, events: Sequence[Heard]) -> list[OutRecord]:
        """One write for a batch; of an event that it holds twice, the first."""
        now = self._clock()
        entries: dict[str, Document] = {}
        for heard in events:
            event, record = heard.event, heard.record
            order = {"orderId": event.order_id} if isinstance(event.data, OrderEventData) else {}
            entries.setdefault(
                event.id,
                {
                    "_id": event.id,
                    "type": event.type,
                    **order,
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "key": record.key.decode(),
                    "source": event.source,
                    "time": event.time,
                    "correlationId": event.correlation_id,
                    "causationId": event.causation_id,
                    "traceparent": event.traceparent,
                    "data": event.data.model_dump(mode="json", by_alias=True, exclude_none=True),
                    "recordedAt": now,
                },
            )
        await append_audit(self._database, list(entries.values()))
        return []
