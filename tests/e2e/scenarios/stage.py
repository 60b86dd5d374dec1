"""Where a scenario is played: one process a service, each of which can be held, and the provider.

A service that is held (SIGSTOP) has done nothing about an order posted since, and will do nothing
until it is released: a point in the saga is certain, not probable. The views are served by a
process that is never held.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.saga import SAGAS, Saga, Step
from infra.local.testing import LocalServers, WorkerProcess, start_gateway, start_worker
from tests.e2e.scenarios.provider import ATTEMPTS, TIMEOUT_SECONDS, ProviderProcess
from tests.kafka import end_offsets
from tests.shop import GROUPS, Shop

VIEWS = "views-1"
PROCESSES = {
    VIEWS: "notification,audit,analytics,movies",
    "order-1": "order",
    "inventory-1": "inventory",
    "payment-1": "payment",
}
# No scenario outlasts it by accident.
CALM_SECONDS = 900
# Longer than an order takes to be stored, on a busy machine.
HURRIED_SECONDS = 2


class Stage:
    """The servers and processes of one order of steps.

    Attributes:
        first, second: the steps.
    """

    def __init__(self, servers: LocalServers, saga_order: str) -> None:
        self.saga: Saga = SAGAS[saga_order]
        self.first, self.second = self.saga.steps
        self.provider = ProviderProcess(servers.directory)
        self.shop = Shop(
            servers,
            env={
                "SAGA_ORDER": saga_order,
                "SAGA_TIMEOUT_SECONDS": str(CALM_SECONDS),
                "SWEEP_INTERVAL_SECONDS": "0.3",
                "PAYMENT_PROVIDER": "http",
                "PAYMENT_URL": self.provider.url,
                "PAYMENT_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
                "PAYMENT_ATTEMPTS": str(ATTEMPTS),
                "PAYMENT_BACKOFF_SECONDS": "0.05",
                "PAYMENT_BACKOFF_MAX_SECONDS": "0.2",
                # No gateway is to be told that a service stops: none asks one.
                "SHUTDOWN_DELAY_SECONDS": "0",
                # So that the rest after each scenario is seen soon.
                "COMMIT_INTERVAL_SECONDS": "0.2",
                # Longer than any service is held: it must not lose its partitions.
                "SESSION_TIMEOUT_SECONDS": "40",
            },
        )
        self._hurried = False

    def start(self) -> None:
        """Start everything, side by side."""
        self.provider.start()
        for name in PROCESSES:
            self._start(name)
        for worker in self.shop.workers.values():
            worker.wait_ready()
        self.shop.gateway = start_gateway(self.shop.servers, [self.shop.workers[VIEWS]])

    def stop(self) -> None:
        """Stop everything."""
        self.shop.stop()
        self.provider.stop()

    def restore(self) -> None:
        """Release and bring back what a scenario that failed left behind."""
        if self.provider.silenced:
            self.provider.stop()
        self.provider.start()
        for worker in self.shop.workers.values():
            if worker.alive():
                worker.resume()
            else:
                worker.start()
                worker.wait_ready()

    def worker(self, service: str) -> WorkerProcess:
        """The process of a service."""
        return self.shop.workers[f"{service}-1"]

    def other(self, step: Step) -> Step:
        """The step that `step` is not."""
        return self.second if step == self.first else self.first

    def hold(self, *services: str) -> None:
        """Let them do nothing from now on."""
        for service in services:
            self.worker(service).pause()

    def release(self, *services: str) -> None:
        """Let them go on."""
        for service in services:
            self.worker(service).resume()

    @contextmanager
    def held(self, *services: str) -> Iterator[None]:
        """Without these services."""
        self.hold(*services)
        yield
        self.release(*services)

    @contextmanager
    def away(self, service: str) -> Iterator[None]:
        """Without this service, whose process is killed."""
        worker = self.worker(service)
        worker.kill9()
        yield
        worker.start()
        worker.wait_ready()

    def hurry(self) -> None:
        """From now on orders that take too long are cancelled."""
        self._order_service(hurried=True)

    def calm(self) -> None:
        """From now on orders may take as long as they like."""
        self._order_service(hurried=False)

    def _order_service(self, *, hurried: bool) -> None:
        if hurried != self._hurried:
            self.worker("order").terminate()
            self._hurried = hurried
            self._start("order-1")
            self.worker("order").wait_ready()

    @contextmanager
    def stopped_order_service(self) -> Iterator[None]:
        """Without the order service, which has left its group."""
        self.worker("order").terminate()
        yield
        self.worker("order").start()
        self.worker("order").wait_ready()

    async def skip_what_the_order_service_has_not_heard(self) -> None:
        """It will go on at the ends of its topics; it must be stopped."""
        group = "orders-order"
        ends = await end_offsets(self.shop.servers.kafka, *GROUPS[group])
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.shop.servers.kafka, group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(tp.topic, tp.partition) for tp in ends])
            await consumer.commit(dict(ends))
        finally:
            await consumer.stop()

    def _start(self, name: str) -> None:
        known = self.shop.workers.get(name)
        seconds = HURRIED_SECONDS if self._hurried else CALM_SECONDS
        env = {
            **self.shop.env,
            "SERVICES": PROCESSES[name],
            "SAGA_TIMEOUT_SECONDS": str(seconds),
            # One that is not a static member leaves its group when it stops, so that the group is
            # empty and its offsets can be moved.
            "STATIC_MEMBERSHIP": str(name != "order-1").lower(),
        }
        self.shop.workers[name] = start_worker(
            self.shop.servers, name, port=known.port if known else None, env=env, wait=False
        )


def kinds(*parts: str | tuple[str, ...]) -> list[str]:
    """The types of an order's events, in alphabetical order."""
    return sorted(chain.from_iterable((p,) if isinstance(p, str) else p for p in parts))
