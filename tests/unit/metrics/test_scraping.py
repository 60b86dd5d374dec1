"""A scrape's cost is bounded, and its answer is never older than its question."""

import asyncio
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.metrics.histogram import BatchHistogram
from app.metrics.loop import SAMPLE_SECONDS, SHOWN_SECONDS, LoopLag
from app.metrics.scraping import Scrapes
from tests.metrics import Figures

BOUNDS = (0.5, 1.0, 2.5)


class Counted(Collector):
    """A gauge that says how often it was asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.asked = 0
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("asked", "How often")]

    def collect(self) -> Iterable[Metric]:
        self.asked += 1
        return [GaugeMetricFamily("asked", "How often", value=self.asked)]


def asked(text: bytes) -> float:
    return Figures(text.decode()).sum("asked")


async def test_scrapes_that_come_together_share_one_rendering_after_the_first() -> None:
    registry = CollectorRegistry()
    counted = Counted(registry)
    scrapes = Scrapes(registry, between=0.01, clock=lambda: 100.0)

    texts = await asyncio.gather(*(scrapes.text() for _ in range(50)))

    assert 2 == counted.asked
    assert [1.0, *[2.0] * 49] == [asked(text) for text in texts]


async def test_a_scrape_after_a_pause_is_answered_at_once() -> None:
    now = 100.0
    scrapes = Scrapes(CollectorRegistry(), between=3600.0, clock=lambda: now)
    await scrapes.text()
    now += 3600.0

    async with asyncio.timeout(30):
        await scrapes.text()


async def test_a_scraper_that_leaves_takes_nobody_elses_answer_along() -> None:
    registry = CollectorRegistry()
    Counted(registry)
    scrapes = Scrapes(registry, between=0.05, clock=lambda: 100.0)
    await scrapes.text()
    leaving, staying = (asyncio.create_task(scrapes.text()) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()

    assert 2.0 == asked(await staying)


@given(st.lists(st.lists(st.floats(0, 5), max_size=5), max_size=5))
def test_a_batchs_observations_fall_into_the_buckets_that_prometheus_own_would_use(
    batches: list[list[float]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batched = BatchHistogram("h", "x", BOUNDS, ours)
    single = Histogram("h", "x", buckets=BOUNDS, registry=theirs)

    for batch in batches:
        batched.observe(batch)
        for value in batch:
            single.observe(value)

    def buckets(registry: CollectorRegistry) -> list[object]:
        return [s for s in Figures.of(registry).samples if s[0] != "h_sum"]

    assert buckets(theirs) == buckets(ours)
    assert abs(Figures.of(theirs).sum("h_sum") - Figures.of(ours).sum("h_sum")) < 1e-9


async def test_the_loops_lag_is_how_late_it_came_and_is_forgotten_in_time() -> None:
    lag, at = LoopLag(CollectorRegistry()), 0.0
    late = [3.0, *[0.0] * round(SHOWN_SECONDS / SAMPLE_SECONDS)]
    shown: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal at
        at += seconds + late.pop(0)
        shown.append(lag.worst())

    await lag.watch(sleep, stopping=lambda: not late, now=lambda: at)

    assert (3.0, 3.0, 0.0) == (shown[1], shown[-1], lag.worst())
