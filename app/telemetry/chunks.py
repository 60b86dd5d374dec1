"""Spans of records that a participant handles in chunks.

    recorded = RecordedBatches(recorder, group, decode=…, decode_all=…, handle=…, publish=…)
    Participant(decode=recorded.decode, …, handle=recorded.handle, publish=recorded.publish)

Each record of a trace that is kept has a consumer's span: from the beginning of its batch's last
attempt until what the batch emits is acknowledged. Each event that it led to has a producer's span
below that, and the event's `traceparent` names it; so a trace is the tree of what led to what.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from app.streaming import OutRecord
from app.streaming.dead_letters import HEADER_PREFIX, SUFFIX
from app.telemetry.context import HEADER, Place, of_headers
from app.telemetry.sending import ID, SEND, at_place, of_event, of_sent
from app.telemetry.spans import Attributes, Recorder

E = TypeVar("E")

CAUSE = "causationid"
DEAD = HEADER_PREFIX + "reason"
HANDLED = b"handled "
UNSAMPLED = b"-00"


class Consumed:
    """A record of a kept trace, and its span's place."""

    __slots__ = ("headers", "parent", "place", "record")

    def __init__(self, record: Any, parent: Place, place: Place) -> None:
        self.record = record
        self.headers: dict[str, bytes] = dict(record.headers)
        self.parent = parent
        self.place = place


class Emission(list[OutRecord]):
    """What a batch emits, and the spans that are over once it is acknowledged.

    Attributes:
        sent: for each record of a kept trace its place, and what led to it.
    """

    __slots__ = ("began", "consumed", "records", "sent")

    def __init__(
        self, out: Sequence[OutRecord], consumed: Sequence[Consumed], records: int, began: int
    ) -> None:
        self.consumed = consumed
        self.records = records
        self.began = began
        self.sent: list[tuple[OutRecord, Place, Consumed]] = []
        causes = {one.headers.get(ID): one for one in consumed}
        super().__init__(self._placed(record, causes) for record in out)

    def _placed(self, record: OutRecord, causes: dict[bytes | None, Consumed]) -> OutRecord:
        headers = dict(record.headers)
        cause = causes.get(headers.get(CAUSE))
        if cause is None:
            return record
        place = cause.place.child(SEND + headers.get(ID, b""))
        placed = at_place(record, place)
        self.sent.append((placed, place, cause))
        return placed


class RecordedBatches(Generic[E]):
    """Stands between a participant and its service.

    Args:
        group: the consumer group.
        decode: and the rest: what the participant would call without this.
    """

    def __init__(
        self,
        recorder: Recorder,
        group: str,
        *,
        decode: Callable[[Any], E],
        decode_all: Callable[[Sequence[Any]], Sequence[E]] | None,
        handle: Callable[[Sequence[E]], Awaitable[Sequence[OutRecord]]],
        publish: Callable[[Sequence[OutRecord]], Awaitable[None]],
    ) -> None:
        self._recorder = recorder
        self._group = group
        self._handled = HANDLED + group.encode()
        self._decode = decode
        self._handle = handle
        self._publish = publish
        self.decode_all = None if decode_all is None else _paired(decode_all)

    def decode(self, record: Any) -> tuple[Any, E]:
        """The record, and its event."""
        return record, self._decode(record)

    async def handle(self, heard: Sequence[tuple[Any, E]]) -> Sequence[OutRecord]:
        """Handle the events; what to publish knows which spans that ends."""
        began = time.time_ns()
        out = await self._handle([event for _, event in heard])
        consumed = [one for record, _ in heard if (one := self._consumed(record)) is not None]
        return Emission(out, consumed, len(heard), began) if consumed else out

    async def publish(self, out: Sequence[OutRecord]) -> None:
        """Publish; then the spans are over."""
        if not isinstance(out, Emission):
            await self._publish(out)
            # Dead letters come alone.
            if len(out) == 1 and out[0].topic.endswith(SUFFIX):
                self._record_dead(out[0])
            return
        sending = time.time_ns()
        await self._publish(out)
        ended = time.time_ns()
        for one in out.consumed:
            self._recorder.record(
                f"process {one.record.topic}",
                "consumer",
                one.place,
                one.parent,
                began=out.began,
                ended=ended,
                attributes=self._of_consumed(one, out.records),
            )
        for record, place, cause in out.sent:
            self._recorder.record(
                f"send {record.topic}",
                "producer",
                place,
                cause.place,
                began=sending,
                ended=ended,
                attributes=of_sent(record),
            )

    def _consumed(self, record: Any) -> Consumed | None:
        name, content = record.headers[-1] if record.headers else ("", b"")
        # As of most records, where few traces are kept.
        if (
            self._recorder.parent_decides
            and name == HEADER
            and (content or b"").endswith(UNSAMPLED)
        ):
            return None
        parent = of_headers(record.headers)
        if parent is None:
            return None
        event_id = next((content for name, content in record.headers if name == ID), None) or b""
        place = self._recorder.below(parent, self._handled + event_id)
        return Consumed(record, parent, place) if place.sampled else None

    def _of_consumed(self, one: Consumed, records: int) -> Attributes:
        """By OpenTelemetry's conventions for messaging, and what of ours is looked for."""
        record = one.record
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
            "messaging.batch.message_count": records,
            **of_event(record.key, one.headers),
        }

    def _record_dead(self, record: OutRecord) -> None:
        """A record that can't be processed: its trace ends in an error."""
        headers = dict(record.headers)
        parent = of_headers(record.headers)
        if parent is None:
            return
        name = SEND + record.topic.encode() + self._handled + headers.get(ID, b"")
        place = self._recorder.below(parent, name)
        if place.sampled:
            now = time.time_ns()
            self._recorder.record(
                f"send {record.topic}",
                "producer",
                place,
                parent,
                began=now,
                ended=now,
                attributes={**of_sent(record), "messaging.consumer.group.name": self._group},
                error=headers.get(DEAD, b"").decode(errors="replace"),
            )


def _paired(
    decode_all: Callable[[Sequence[Any]], Sequence[E]],
) -> Callable[[Sequence[Any]], Sequence[tuple[Any, E]]]:
    def decode(records: Sequence[Any]) -> Sequence[tuple[Any, E]]:
        return list(zip(records, decode_all(records), strict=True))

    return decode
