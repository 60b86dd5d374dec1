"""Spans on their way to a collector."""

import logging
from collections import Counter

import pytest

from app.settings import Settings
from app.telemetry import spans as module
from app.telemetry.context import Place
from app.telemetry.spans import NOISY, Spans
from infra.local.ports import free_ports

QUEUE = 8


def test_without_a_place_for_them_there_are_none() -> None:
    assert Spans.from_settings(Settings()) is None
    assert Spans.from_settings(Settings(traces_file="x")) is not None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"otel_exporter_otlp_endpoint": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"otel_exporter_otlp_endpoint": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"otel_exporter_otlp_traces_endpoint": "http://c/spans"}, "http://c/spans"),
        ({}, ""),
    ],
)
def test_a_collectors_address_is_as_the_standard_says(given: dict[str, str], url: str) -> None:
    assert url == Settings(**given).traces_url  # type: ignore[arg-type]


async def test_a_collector_that_is_away_is_said_once_and_spans_are_dropped(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.5)
    spans = Spans(
        Settings(
            otel_exporter_otlp_endpoint=f"http://127.0.0.1:{free_ports(1)[0]}",
            otel_bsp_max_queue_size=QUEUE,
        )
    )
    recorder = spans.of("payment")
    with caplog.at_level(logging.INFO):
        for number in range(100 * QUEUE):
            recorder.record(
                "process order.events.v1",
                "consumer",
                Place(1, number + 1, sampled=True),
                None,
                began=1,
                ended=2,
                attributes={},
            )
        await spans.close()
    said = Counter((one.name, one.msg) for one in caplog.records if one.name in NOISY)
    assert said
    assert {1} == set(said.values())
