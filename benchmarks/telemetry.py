"""`python -m benchmarks.telemetry`: what spans and lines of the log cost a process, in CPU time.

CPU time, so that other work on the machine counts for little; the best of several rounds. The whole
system, with every trace kept and with none:

    QUICK=1 python -m benchmarks saga
    QUICK=1 TRACES_FILE=/tmp/spans.jsonl python -m benchmarks saga
"""

import asyncio
import io
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

from mode.utils.logging import DEFAULT_FORMAT, DefaultFormatter
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.agents.folding import outgoing
from app.codec import encode
from app.events import Event, PaymentProcessed, order_data, timestamp
from app.settings import Settings
from app.streaming import OutRecord
from app.telemetry.chunks import RecordedBatches
from app.telemetry.files import as_otlp
from app.telemetry.lines import json_formatter
from app.telemetry.spans import Spans
from tests.builders import START, order

RECORDS = 1000
ROUNDS = 15
LINES = 5000
US = 1e6
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Kept(SpanExporter):
    """Keeps what would be exported, so that exporting is not counted here."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans = list(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""


def batch(*, sampled: bool) -> list[tuple[Any, Event]]:
    """As many orders, each with its record."""
    found = []
    for number in range(RECORDS):
        event = Event.first(
            order({"apple": 2, "pear": 1}, number=number + 1),
            source="order",
            at=timestamp(START),
            traceparent=f"00-{TRACE}-{PARENT}-{sampled:02x}",
        )
        made = encode(event)
        record = SimpleNamespace(
            topic=made.topic,
            partition=3,
            offset=number,
            key=made.key,
            value=made.value,
            headers=tuple(made.headers),
        )
        found.append((record, event))
    return found


async def handle(events: Sequence[Event]) -> Sequence[OutRecord]:
    """Each order is paid."""
    return outgoing(
        event.follow(
            PaymentProcessed(**order_data(event.data), payment_id="p"),  # type: ignore[arg-type]
            source="payment",
            at=timestamp(START),
        )
        for event in events
    )


async def publish(records: Sequence[OutRecord]) -> None:
    """All is acknowledged at once."""


async def best(work: Callable[[], Awaitable[object]], count: int) -> float:
    """Microseconds of CPU of this thread that one of `count` takes, in the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        await work()
        found.append(time.thread_time() - began)
    return min(found) / count * US


async def of_batches() -> dict[str, float]:
    """A record handled, and an event emitted for it; without spans, and what they add."""

    async def plain() -> None:
        await publish(await handle([event for _, event in unsampled]))

    async def recorded(heard: list[tuple[Any, Event]]) -> None:
        await batches.publish(await batches.handle(heard))

    exporter = Kept()
    settings = Settings(traces_file="unused", otel_bsp_max_queue_size=10 * RECORDS)
    spans = Spans(settings, (exporter,))
    batches = RecordedBatches(
        spans.of("payment"),
        "orders-payment",
        decode=lambda record: record,
        decode_all=None,
        handle=handle,
        publish=publish,
    )
    sampled, unsampled = batch(sampled=True), batch(sampled=False)
    await recorded(sampled)
    without = await best(plain, RECORDS)
    found = {
        "a record handled and its event encoded, no spans": without,
        "more, trace not kept": await best(lambda: recorded(unsampled), RECORDS) - without,
        "more, trace kept: two spans": await best(lambda: recorded(sampled), RECORDS) - without,
    }
    await spans.close()

    async def to_protobuf() -> None:
        encode_spans(exporter.spans).SerializePartialToString()

    async def to_json() -> None:
        as_otlp(exporter.spans)

    count = len(exporter.spans)
    found["a span to OTLP, in the background"] = await best(to_protobuf, count)
    found["a span to the file's JSON, in the background"] = await best(to_json, count)
    return found


async def of_lines() -> dict[str, float]:
    """A line of the log, by ours and by Faust's own formatter; and what a request binds."""

    def log(formatter: logging.Formatter) -> Callable[[], Awaitable[None]]:
        logger = logging.Logger("orders")
        handler = logging.StreamHandler(io.StringIO())
        handler.setFormatter(formatter)
        logger.addHandler(handler)

        async def lines() -> None:
            for _ in range(LINES):
                logger.info("%s: %d records held", "orders-payment", 12)

        return lines

    async def bind() -> None:
        for _ in range(LINES):
            reset_contextvars(**bind_contextvars(trace_id=TRACE))

    return {
        "a line by Faust's formatter": await best(log(DefaultFormatter(DEFAULT_FORMAT)), LINES),
        "a line of JSON": await best(log(json_formatter("worker", "worker-1")), LINES),
        "a request's trace id bound for its lines": await best(bind, LINES),
    }


async def main() -> None:
    """Print them all."""
    for name, microseconds in {**await of_batches(), **await of_lines()}.items():
        print(f"{name:50} {microseconds:7.2f} us")


if __name__ == "__main__":
    asyncio.run(main())
