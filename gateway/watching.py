"""How it is with each worker, as metrics of the moment when they are asked for.

Workers come and go, and so do their lines: a gauge would go on showing one that has gone.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.bulkhead import Kind
from gateway.workers import Workers


class WatchedWorkers(Collector):
    """The state of each worker's breaker, and what is under way at it."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics, with a line for each worker that there is now."""
        states = GaugeMetricFamily(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open", labels=["target"]
        )
        outstanding = GaugeMetricFamily(
            "gateway_requests_outstanding",
            "Requests under way at a worker",
            labels=["target", "kind"],
        )
        for worker in self._workers:
            states.add_metric([worker.url], float(worker.breaker.state))
            for kind in Kind:
                outstanding.add_metric([worker.url, kind.value], float(worker.places[kind].taken))
        yield states
        yield outstanding
