"""A small real system with a real Prometheus, whose rules run sixty times as fast."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from infra.local.ports import LOOPBACK
from infra.local.prometheus import GATEWAYS, WORKERS, Target
from infra.local.testing import (
    LocalServers,
    Process,
    start_gateway,
    start_prometheus,
    start_worker,
)
from tests.shop import Shop
from tests.unit.monitoring.rules import hastened

# An hour of the rules is a minute, and a minute, their shortest time, a second.
FACTOR = 60
# Three samples are in a second. Workers render no more often than four times a second.
INTERVAL = "300ms"
# As Grafana would choose it: four intervals and more, and long enough on a busy machine.
RATE_INTERVAL = "5s"
SETTINGS = {
    # A refund is owed where the money is taken first and the shelf is then found empty; none of
    # them is ever made.
    "SAGA_ORDER": "payment,inventory",
    "PAYMENT_REFUND_FAILURE_RATE": "1",
    "REFUND_RETRY_SECONDS": "0.5",
    "REFUND_RETRY_MAX_SECONDS": "1",
    "SWEEP_INTERVAL_SECONDS": "0.5",
}


class Exporter:
    """What can't be caused within seconds, as another target of the job of the workers: a stock
    that refuses a write that came too late, and a recovery of minutes."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.refusals = Counter("stock_guard_refusals_total", "As a worker's", registry=registry)
        self.recovering = Gauge(
            "worker_recovering", "As a worker's", ["service"], registry=registry
        )
        self.recovering.labels("analytics").set(0)
        self._server, self._thread = start_http_server(0, LOOPBACK, registry)

    @property
    def target(self) -> Target:
        return Target(f"{LOOPBACK}:{self._server.server_port}", "exporter", "all")

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Watched:
    """The system's parts, and the id of an order that never ends, once there is one."""

    shop: Shop
    prometheus: Process
    exporter: Exporter
    never_ends: str | None = None

    @property
    def worker(self) -> Process:
        return self.shop.workers["worker-1"]

    @property
    def gateway(self) -> Process:
        assert self.shop.gateway is not None
        return self.shop.gateway


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """One worker with all services, a gateway, a Prometheus that scrapes both, and an exporter."""
    with ExitStack() as stack:
        servers = stack.enter_context(LocalServers(folder))
        exporter = Exporter()
        stack.callback(exporter.stop)
        shop = Shop(servers, SETTINGS)
        stack.callback(shop.stop)
        # Side by side, since it is Python that takes its time.
        worker = start_worker(servers, "worker-1", env=SETTINGS, wait=False)
        shop.workers[worker.name] = worker
        gateway = shop.gateway = start_gateway(servers, [worker], env=SETTINGS, wait=False)
        worker.wait_ready()
        gateway.wait_ready()
        prometheus = start_prometheus(
            servers,
            {
                WORKERS: [Target.of(worker.program, "all"), exporter.target],
                GATEWAYS: [Target.of(gateway.program, "gateway")],
            },
            rules=hastened(folder, FACTOR),
            interval=INTERVAL,
        )
        stack.callback(prometheus.kill9)
        yield Watched(shop, prometheus, exporter)
