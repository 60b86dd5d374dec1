"""Metrics as Prometheus reads them."""

from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

CONTRACT = {
    "http_requests_total": {"service", "method", "path", "status"},
    "http_request_duration_seconds": {"service", "method", "path"},
    "kafka_messages_produced_total": {"topic"},
    "kafka_messages_consumed_total": {"topic", "group"},
    "kafka_consumer_lag": {"topic", "partition", "group"},
    "saga_executions_total": {"status"},
    "saga_compensation_executions_total": {"step"},
    "saga_duration_seconds": set(),
    "orders_created_total": set(),
    "revenue_total": set(),
    "payments_processed_total": {"status"},
    "lock_acquisitions_total": {"status"},
    "lock_contentions_total": {"resource"},
    "dead_letters_total": {"topic", "reason"},
}
"""What others rely on: names, and the labels of each."""


class Figures:
    """The samples of one or more scrapes, added up."""

    def __init__(self, *texts: str) -> None:
        self.samples: list[tuple[str, Mapping[str, str], float]] = [
            (sample.name, sample.labels, sample.value)
            for text in texts
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        self.names = {
            family.name + ("_total" if family.type == "counter" else "")
            for text in texts
            for family in text_string_to_metric_families(text)
        }

    @classmethod
    def of(cls, registry: CollectorRegistry) -> "Figures":
        """What the registry holds now."""
        return cls(generate_latest(registry).decode())

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels."""
        return sum(value for _, value in self.series(name, **labels))

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of the series by one label, without those that are nothing."""
        found: dict[str, float] = {}
        for labels, value in self.series(name):
            if value:
                found[labels[label]] = found.get(labels[label], 0) + value
        return found

    def series(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """The series with these labels."""
        return [
            (of, value)
            for called, of, value in self.samples
            if called == name and labels.items() <= of.items()
        ]


async def scrape(urls: Iterable[str]) -> Figures:
    """`/metrics` of each process, added up."""
    async with aiohttp.ClientSession() as session:

        async def one(url: str) -> str:
            async with session.get(f"{url}/metrics") as answer:
                assert 200 == answer.status
                return await answer.text()

        return Figures(*[await one(url) for url in urls])


def labels_of(collector: Any) -> dict[str, tuple[str, ...]]:
    """The metrics of one collector, with their labels."""
    described = collector.describe() if hasattr(collector, "describe") else collector.collect()
    names = getattr(collector, "_labelnames", None)
    return {
        metric.name: tuple(names if names is not None else getattr(metric, "_labelnames", ()))
        for metric in described
    }
