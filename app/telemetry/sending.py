"""Spans of records that are sent."""

import time
from collections.abc import Awaitable, Callable, Sequence

from app.streaming import OutRecord
from app.telemetry.context import HEADER, Place, new_span_id, new_trace_id, of_headers
from app.telemetry.spans import Attributes, Recorder

ID = "ce_id"
TYPE = "ce_type"
CORRELATION = "correlationid"
SEND = b"send "

Publish = Callable[[Sequence[OutRecord]], Awaitable[None]]


class RecordedPublisher:
    """Publishes with a producer's span for each record, which its `traceparent` names; a record
    without a trace begins one."""

    def __init__(self, publish: Publish, recorder: Recorder) -> None:
        self._publish = publish
        self._recorder = recorder

    async def __call__(self, records: Sequence[OutRecord]) -> None:
        """Publish; raises what publishing raises."""
        placed = [self._placed(record) for record in records]
        began = time.time_ns()
        error: str | None = None
        try:
            await self._publish([record for record, _, _ in placed])
        except Exception as failed:
            error = type(failed).__name__
            raise
        finally:
            ended = time.time_ns()
            for record, place, parent in placed:
                if place.sampled:
                    self._recorder.record(
                        f"send {record.topic}",
                        "producer",
                        place,
                        parent,
                        began=began,
                        ended=ended,
                        attributes=of_sent(record),
                        error=error,
                    )

    def _placed(self, record: OutRecord) -> tuple[OutRecord, Place, Place | None]:
        parent = of_headers(record.headers)
        if parent is None:
            made = Place(new_trace_id(), new_span_id(), sampled=True)
            place = self._recorder.begin(None, made=made)
        else:
            event_id = dict(record.headers).get(ID, b"")
            place = self._recorder.below(parent, SEND + event_id)
        return at_place(record, place), place, parent


def at_place(record: OutRecord, place: Place) -> OutRecord:
    """The record, with this place in its `traceparent`."""
    headers = [header for header in record.headers if header[0] != HEADER]
    headers.append((HEADER, place.traceparent.encode()))
    return OutRecord(record.topic, record.key, record.value, headers, record.partition)


def of_sent(record: OutRecord) -> Attributes:
    """The attributes of a producer's span, by OpenTelemetry's conventions for messaging."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": record.topic,
        **of_event(record.key, dict(record.headers)),
    }


def of_event(key: bytes | None, headers: dict[str, bytes]) -> dict[str, str]:
    """What a span says of its event; of ours, what is looked for."""
    about = {
        "messaging.kafka.message.key": key,
        "messaging.message.id": headers.get(ID),
        "orderflow.event": headers.get(TYPE),
        "orderflow.order_id": order_id_of(key, headers),
    }
    return {name: text.decode(errors="replace") for name, text in about.items() if text}


def order_id_of(key: bytes | None, headers: dict[str, bytes]) -> bytes | None:
    """The order that a record is about: its key correlates its events. A movie's events are keyed
    by the movie, and correlated by the view."""
    return key if key == headers.get(CORRELATION) else None
