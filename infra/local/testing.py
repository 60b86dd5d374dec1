"""Servers and workers of a test's own: free ports, own folder, gone when the test's process is.

    with LocalServers(tmp_path) as servers:
        servers.stop("mongo")
        servers.start("mongo")  # same port, same data
        with start_worker(servers, "worker-1") as worker:
            worker.kill9()

`kill9` of Kafka loses nothing acknowledged. That of MongoDB may lose the writes of the last 100 ms,
unless the servers were made with `mongo_journal=True`, and that of Redis those of the last moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pytest

from infra.local import apps, java, prometheus, secrets, servers
from infra.local.control import GatewayProcess, Process, WorkerProcess
from infra.local.ports import Port, Ports, free_ports
from infra.local.process import Program

__all__ = [
    "GatewayProcess",
    "LocalServers",
    "Process",
    "WorkerProcess",
    "local_servers",
    "make_topics",
    "start_gateway",
    "start_prometheus",
    "start_worker",
]

ServerName = Literal["kafka", "mongo", "redis"]
SERVERS: tuple[ServerName, ...] = ("kafka", "mongo", "redis")


class LocalServers:
    """Kafka, MongoDB and Redis for one test or one session, started together.

    `ports="free"` takes free ones; give a `Ports` to choose. The data stays in `directory`,
    so that servers made there again find it. `mongo_journal=True` has MongoDB write each change
    to its file before it acknowledges it: two thirds of the speed, and safe against `kill9`.
    `lasting=True` is for what measures their speed: they start slower, and get faster.
    `listeners` are ports of Kafka's besides the one that `kafka` names.
    """

    def __init__(
        self,
        directory: Path,
        ports: Literal["free"] | Ports = "free",
        only: Collection[ServerName] = SERVERS,
        *,
        mongo_journal: bool = False,
        lasting: bool = False,
        listeners: Sequence[servers.Listener] = (),
    ) -> None:
        self.directory = directory
        self.jit = () if lasting else java.SHORT_LIVED
        self.mongo_commit = 0 if mongo_journal else servers.MONGO_COMMIT_MILLISECONDS
        self.ports = Ports.free() if ports == "free" else ports
        self.listeners = tuple(listeners)
        self.names = [name for name in SERVERS if name in only]
        self._processes = {name: Process(self._program(name)) for name in self.names}

    @property
    def kafka(self) -> str:
        """Bootstrap servers, `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.ports.kafka.number}"

    @property
    def mongodb_url(self) -> str:
        """MongoDB URL with the database's name."""
        return servers.mongodb_url(self.ports.mongodb.number)

    @property
    def redis_url(self) -> str:
        """Redis URL."""
        return servers.redis_url(self.ports.redis.number)

    def environment(self) -> dict[str, str]:
        """Return the variables by which a worker, a gateway or a command finds these servers."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "MONGODB_URL": self.mongodb_url,
            "REDIS_URL": self.redis_url,
            "AUTH": "off",
            **secrets.made(self.directory / "secrets", {}),
        }

    def process(self, name: ServerName) -> Process:
        """Return one server's process, for `kill9`, `log_tail` and the like."""
        return self._processes[name]

    def start(self, *names: ServerName) -> None:
        """Start the named servers, or all, and wait until they answer."""
        chosen = [self._processes[name] for name in names or self.names]
        for process in chosen:
            process.start()
        for process in chosen:
            process.wait_ready()

    def stop(self, *names: ServerName) -> None:
        """Stop the named servers, or all; ports and data stay theirs."""
        for name in names or reversed(self.names):
            self._processes[name].terminate()

    def pause(self, name: ServerName) -> None:
        """Freeze a server: clients stay connected and get no answer."""
        self._processes[name].pause()

    def resume(self, name: ServerName) -> None:
        """Let a frozen server go on."""
        self._processes[name].resume()

    def _program(self, name: ServerName) -> Program:
        data = self.directory / "data" / name
        log = self.directory / "logs" / f"{name}.log"
        if name == "kafka":
            ports = self.ports.kafka, self.ports.kafka_controller
            return servers.kafka(data, log, *ports, self.jit, self.listeners)
        if name == "mongo":
            return servers.mongo(data, log, self.ports.mongodb, self.mongo_commit, self.jit)
        return servers.redis(data, log, self.ports.redis)

    def __enter__(self) -> Self:
        java.build()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def make_topics(local: LocalServers) -> None:
    """Create the project's topics, which a worker needs before it starts."""
    apps.make_topics(local.environment())


def start_worker(
    local: LocalServers,
    name: str = "worker-1",
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    *,
    wait: bool = True,
) -> WorkerProcess:
    """Start `faust -A app worker` on these servers, where `make_topics` was done before.

    A worker of the same name finds its earlier data again.
    """
    number = port or free_ports(1)[0]
    data = local.directory / "data" / name
    log = local.directory / "logs" / f"{name}.log"
    environment = {**local.environment(), **(env or {})}
    worker = WorkerProcess(apps.worker(name, Port(number, "the port"), data, log, environment))
    _start(worker, wait=wait)
    return worker


def start_gateway(
    local: LocalServers,
    workers: Sequence[Process],
    name: str = "gateway-1",
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    *,
    wait: bool = True,
) -> GatewayProcess:
    """Start a gateway in front of these workers."""
    number = port or free_ports(1)[0]
    log = local.directory / "logs" / f"{name}.log"
    urls = [worker.url for worker in workers]
    environment = {**local.environment(), **(env or {})}
    gateway = GatewayProcess(apps.gateway(name, Port(number, "the port"), urls, log, environment))
    _start(gateway, wait=wait)
    return gateway


def start_prometheus(
    local: LocalServers,
    targets: Mapping[str, Sequence[prometheus.Target]],
    *,
    rules: Sequence[Path] = prometheus.RULES,
    interval: str = prometheus.INTERVAL,
    wait: bool = True,
) -> Process:
    """Start a Prometheus of the test's own over these targets; servers bring none by themselves."""
    data = local.directory / "data" / prometheus.NAME
    log = local.directory / "logs" / f"{prometheus.NAME}.log"
    port = Port(free_ports(1)[0], "the port")
    process = Process(
        prometheus.prometheus(data, log, port, targets, rules=rules, interval=interval)
    )
    _start(process, wait=wait)
    return process


def _start(process: Process, *, wait: bool) -> None:
    process.start()
    if wait:
        try:
            process.wait_ready()
        except BaseException:
            process.kill9()
            raise


@pytest.fixture(scope="session")
def local_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """Kafka, MongoDB and Redis for the whole session. Import this into a `conftest.py`.

    Tests share them: use names of your own for topics, databases and keys, and leave them running.
    """
    with LocalServers(tmp_path_factory.mktemp("servers")) as started:
        yield started
