"""Spans of records that are handled in chunks."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.agents.folding import outgoing
from app.codec import encode
from app.events import Event, PaymentProcessed, order_data, timestamp
from app.settings import Settings
from app.streaming import OutRecord
from app.streaming.dead_letters import DeadLetter
from app.telemetry.chunks import RecordedBatches
from app.telemetry.sending import RecordedPublisher
from app.telemetry.spans import Spans
from infra.demo.spans import Span, of_otlp
from tests.builders import START, order

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "a" * 32
PARENT = "00f067aa0ba902b7"


def event(trace: str, *, sampled: bool) -> Event:
    return Event.first(
        order({"apple": 2}, number=1 + sampled),
        source="order",
        at=timestamp(START),
        traceparent=f"00-{trace}-{PARENT}-{sampled:02x}",
    )


def record_of(event: Event, offset: int) -> Any:
    made = encode(event)
    return SimpleNamespace(
        topic=made.topic,
        partition=3,
        offset=offset,
        key=made.key,
        value=made.value,
        headers=tuple(made.headers),
        timestamp=0,
    )


class Desk:
    """A payment service that says yes, and what it published."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.file = folder / "spans.jsonl"
        self.spans = Spans(Settings(traces_file=str(self.file), **settings))  # type: ignore[arg-type]
        self.published: list[OutRecord] = []
        self.batches = RecordedBatches(
            self.spans.of("payment"),
            "orders-payment",
            decode=lambda record: self.events[record.offset],
            decode_all=None,
            handle=self.handle,
            publish=self.publish,
        )
        self.events: list[Event] = []

    async def handle(self, events: Sequence[Event]) -> Sequence[OutRecord]:
        return outgoing(
            one.follow(
                PaymentProcessed(**order_data(one.data), payment_id="p"),  # type: ignore[arg-type]
                source="payment",
                at=timestamp(START),
            )
            for one in events
        )

    async def publish(self, records: Sequence[OutRecord]) -> None:
        self.published += records

    async def hear(self, *events: Event) -> None:
        self.events = list(events)
        records = [record_of(one, offset) for offset, one in enumerate(events)]
        out = await self.batches.handle([self.batches.decode(record) for record in records])
        await self.batches.publish(out)

    async def told(self, trace: str = TRACE) -> list[Span]:
        await self.spans.close()
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [span for line in lines for span in of_otlp(json.loads(line), trace)]


def traceparent(record: OutRecord) -> str:
    return dict(record.headers)["traceparent"].decode()


async def test_a_record_has_a_span_and_what_it_led_to_another_below_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    heard = event(TRACE, sampled=True)
    await desk.hear(heard)
    consumed, sent = await desk.told()
    assert ("payment", "consumer", "process order.events.v1", PARENT) == (
        consumed.service,
        consumed.kind,
        consumed.name,
        consumed.parent,
    )
    assert ("producer", "send payment.events.v1", consumed.id) == (
        sent.kind,
        sent.name,
        sent.parent,
    )
    assert f"00-{TRACE}-{sent.id}-01" == traceparent(desk.published[0])
    assert consumed.began <= sent.began <= sent.ended <= consumed.ended
    assert {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "order.events.v1",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 0,
        "messaging.consumer.group.name": "orders-payment",
        "messaging.batch.message_count": 1,
        "messaging.kafka.message.key": heard.key,
        "messaging.message.id": heard.id,
        "orderflow.event": "OrderPlaced",
        "orderflow.order_id": heard.order_id,
    } == consumed.attributes


async def test_a_batch_that_is_handled_again_emits_the_same_bytes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(2):
        await desk.hear(event(TRACE, sampled=True))
    assert desk.published[0] == desk.published[1]


async def test_records_of_traces_that_are_not_kept_pass_as_they_are(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    kept, dropped = event(TRACE, sampled=True), event(OTHER, sampled=False)
    await desk.hear(dropped, kept)
    assert dropped.traceparent == traceparent(desk.published[0])
    assert [] == await desk.told(OTHER)
    assert {2} == {
        span.attributes["messaging.batch.message_count"]
        for span in await desk.told()
        if span.kind == "consumer"
    }


@pytest.mark.parametrize(
    "headers", [(), (("traceparent", None),), (("ce_id", None), ("traceparent", b"\xff-00"))]
)
async def test_headers_may_be_anything(
    tmp_path: Path, headers: tuple[tuple[str, Any], ...]
) -> None:
    desk = Desk(tmp_path)
    record = record_of(event(TRACE, sampled=True), 0)
    record.headers = headers
    desk.events = [event(TRACE, sampled=True)]
    out = await desk.batches.handle([desk.batches.decode(record)])
    await desk.batches.publish(out)
    assert 1 == len(desk.published)
    assert [] == await desk.told()


async def test_a_dead_letter_is_an_error_of_its_trace(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    poison = record_of(event(TRACE, sampled=True), 0)
    await desk.batches.publish([DeadLetter(poison, "undecodable", "why", "orders-payment").out()])
    (span,) = await desk.told()
    assert ("send order.events.v1.dlq", PARENT) == (span.name, span.parent)
    assert '"status":{"code":2,"message":"undecodable"}' in desk.file.read_text()


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "parentbased_always_off"])
async def test_what_nobody_led_to_begins_a_trace(tmp_path: Path, sampler: str) -> None:
    desk = Desk(tmp_path, otel_traces_sampler=sampler)
    publisher = RecordedPublisher(desk.publish, desk.spans.of("order"))
    made = outgoing([event(TRACE, sampled=True)])[0]
    headers = [header for header in made.headers if header[0] != "traceparent"]
    await publisher([OutRecord(made.topic, made.key, made.value, headers)])
    version, trace, span, flags = traceparent(desk.published[0]).split("-")
    told = await desk.told(trace)
    if sampler == "parentbased_always_on":
        assert [(span, "", "order")] == [(one.id, one.parent, one.service) for one in told]
    else:
        assert [] == told
    assert "00" == version
    assert (flags == "01") is bool(told)


async def test_what_can_not_be_published_is_an_error_of_its_span(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def refuse(records: Sequence[OutRecord]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await RecordedPublisher(refuse, desk.spans.of("worker"))(
            outgoing([event(TRACE, sampled=True)])
        )
    assert 1 == len(await desk.told())
    assert '"message":"ConnectionError"' in desk.file.read_text()
