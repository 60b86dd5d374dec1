"""When records are taken again, on a clock that stands still and in a consumer's own fetches."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.parts import SAGA_NAMES, SERVICE_NAMES
from app.services import make_app
from app.settings import Settings
from app.streaming import install
from app.streaming.pacing import PLENTY_RECORDS, Pace

pytestmark = pytest.mark.timeout(60)
GAP = 0.25


class Clock:
    """Goes on when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_who_has_taken_nothing_yet_waits_for_nothing() -> None:
    assert 0.0 == Pace(GAP).left


@given(st.integers(1, PLENTY_RECORDS - 1), st.floats(0, 2 * GAP))
def test_after_few_records_the_next_are_a_gap_away(records: int, later: float) -> None:
    clock = Clock()
    pace = Pace(GAP, clock)

    pace.took(records)
    clock.now += later

    assert pytest.approx(max(0.0, GAP - later)) == pace.left


@pytest.mark.parametrize("records", [0, PLENTY_RECORDS, 10 * PLENTY_RECORDS])
def test_after_none_or_plenty_they_are_taken_at_once(records: int) -> None:
    pace = Pace(GAP, Clock())

    pace.took(records)

    assert 0.0 == pace.left


def test_without_a_gap_nothing_is_kept_apart() -> None:
    pace = Pace(0.0, Clock())

    pace.took(1)

    assert 0.0 == pace.left


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When Faust took records; each of two takes brings one, all later ones bring plenty."""
    times: list[float] = []

    async def fetch_records(*_: Any) -> dict[TP, list[str]]:
        times.append(time.monotonic())
        return {TP("orders", 0): ["a record"] * (1 if len(times) <= 2 else PLENTY_RECORDS)}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch_records)
    return times


async def test_a_consumer_keeps_its_takes_of_few_records_apart(
    tmp_path: Path, takes: list[float]
) -> None:
    app = faust.App("group", broker="kafka://127.0.0.1:1", datadir=tmp_path, stream_wait_empty=True)
    install(app, fetch_gap=GAP)
    thread = app.consumer._new_consumer_thread()
    client = SimpleNamespace(_subscription=SimpleNamespace(subscription=None))

    for _ in range(3):
        assert await thread._fetch_records(client, {TP("orders", 0)})

    first, second, third = takes
    assert second - first >= GAP
    assert third - second >= GAP


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_the_saga_waits_less_for_more_than_those_for_whom_nobody_waits(
    name: str, tmp_path: Path
) -> None:
    conf = Settings(data_dir=tmp_path, fetch_gap_seconds=0.01, fetch_gap_aside_seconds=0.5)

    app = make_app(name, conf, main=False)

    assert (0.01 if name in SAGA_NAMES else 0.5) == app.transport.fetch_gap
