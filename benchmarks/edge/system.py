"""The system under load: nginx, gateways, workers and servers, all of this machine."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from app.cli import endings
from app.resources import Resources
from app.settings import Settings
from app.stores.repositories import ORDERS, STOCK
from app.stores.stock import StockStore
from benchmarks.edge.figures import Figures
from benchmarks.edge.load import Order, Record
from benchmarks.edge.traffic import PRODUCTS, product
from benchmarks.lessons.instances import Cost
from benchmarks.results import ROOT
from infra.local.control import GatewayProcess, Process, WorkerProcess
from infra.local.nginx import Front, nginx
from infra.local.ports import LOOPBACK
from infra.local.testing import LocalServers, start_gateway, start_worker

WORKERS, GATEWAYS = 2, 3
# Where web views are in processes of their own: as many again.
WEB_ALONE = 2
PLENTY = 100_000_000
# Every request says so (`X-Request-Timeout`): the gateway answers 504 then. Above what a saga's
# backlog makes a read of a fresh order wait (`READ_YOUR_WRITES_SECONDS`).
LIMIT_SECONDS = 10.0
# After the limit, so much for the answer to get through a machine that is full: then it is a hang.
GRACE_SECONDS = 20.0
# The generator ends with its last request; on top of that its start.
LOAD_GRACE_SECONDS = 60.0
VERIFY_SECONDS = 180.0


@dataclass
class System:
    """Everything that a request meets on its way, by name."""

    servers: LocalServers
    workers: list[WorkerProcess] = field(default_factory=list)
    gateways: list[GatewayProcess] = field(default_factory=list)
    front: Process | None = None
    loads: int = 0

    @property
    def processes(self) -> dict[str, Process]:
        """Each process by its name, in the order in which a request meets them."""
        assert self.front is not None
        servers = [self.servers.process(name) for name in self.servers.names]
        return {one.name: one for one in (self.front, *self.gateways, *self.workers, *servers)}

    def costs(self) -> dict[str, Cost]:
        """What each process uses from now on."""
        return {name: Cost([process]) for name, process in self.processes.items()}

    @contextmanager
    def begun(self, rate: float, seconds: float) -> Iterator["Running"]:
        """A load that has begun; it is stopped at the end of the block if it still runs."""
        assert self.front is not None
        self.loads += 1
        name = f"load-{self.loads}"
        file = self.servers.directory / f"{name}.json"
        hang_seconds = LIMIT_SECONDS + GRACE_SECONDS
        order = Order(
            self.front.port,
            f"{name}-{os.getpid()}-{time.time_ns()}",
            *(rate, seconds, LIMIT_SECONDS, hang_seconds),
            str(file),
        )
        command = (
            sys.executable,
            "-m",
            "benchmarks.edge.load",
            orjson.dumps(asdict(order)).decode(),
        )
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        try:
            yield Running(process, order)
        finally:
            process.kill()
            process.wait()

    async def load(self, rate: float, seconds: float) -> Figures:
        """What comes of such a load."""
        with self.begun(rate, seconds) as running:
            return await running.figures()

    async def all_end(self, ids: list[str]) -> endings.Endings:
        """Wait until the orders have ended, or nothing moves any more."""
        resources = Resources.connect(self.settings)
        try:
            limit = endings.limit_seconds(len(ids))
            return await endings.wait_for_ends(resources.database[ORDERS], ids, limit=limit)
        finally:
            await resources.close()

    async def balances(self) -> bool:
        """Whether `faust -A app verify` says that the books balance."""
        done = await asyncio.to_thread(
            subprocess.run,
            (sys.executable, "-m", "faust", "-A", "app", "verify"),
            cwd=ROOT,
            env={
                **os.environ,
                **self.servers.environment(),
                "DATA_DIR": str(self.servers.directory / "data" / "verify"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=VERIFY_SECONDS,
            check=False,
        )
        return done.returncode == 0

    @property
    def settings(self) -> Settings:
        return Settings(
            kafka_bootstrap_servers=self.servers.kafka,
            mongodb_url=self.servers.mongodb_url,
            redis_url=self.servers.redis_url,
        )


@dataclass(frozen=True)
class Running:
    """A load that is under way."""

    process: subprocess.Popen[bytes]
    order: Order

    async def figures(self) -> Figures:
        """Wait for its end.

        Raises:
            RuntimeError: it failed.
        """
        limit = self.order.seconds + self.order.hang_seconds + LOAD_GRACE_SECONDS
        status = await asyncio.to_thread(self.process.wait, limit)
        if status != 0:
            raise RuntimeError(f"the load generator ended with {status}")
        return Figures(_taken(Path(self.order.file)), self.order.rate)


def _taken(file: Path) -> Record:
    record = Record(**orjson.loads(file.read_bytes()))
    file.unlink()
    return record


@asynccontextmanager
async def system(
    folder: Path, env: Mapping[str, str] | None = None, *, apart: bool = False
) -> AsyncIterator[System]:
    """The whole system on free ports, stocked; gone at the end.

    Settings are as they come, but for tokens: each worker has all services, and the limit of rate
    is twice 1,000 requests a second for a client. With `apart` the gateways send all requests to
    processes that have web views alone.
    """
    with ExitStack() as stack:
        servers = stack.enter_context(LocalServers(folder))
        made = System(servers)
        await _stock(made.settings)
        for number in range(1, WORKERS + 1):
            worker = start_worker(servers, f"worker-{number}", env=env, wait=False)
            stack.callback(worker.kill9)
            made.workers.append(worker)
        for number in range(1, WEB_ALONE + 1) if apart else ():
            own = {**(env or {}), "SERVICES": "web"}
            worker = start_worker(servers, f"web-{number}", env=own, wait=False)
            stack.callback(worker.kill9)
            made.workers.append(worker)
        for worker in made.workers:
            worker.wait_ready()
        asked = made.workers[WORKERS:] or made.workers
        for number in range(1, GATEWAYS + 1):
            gateway = start_gateway(servers, asked, f"gateway-{number}", env=env, wait=False)
            stack.callback(gateway.kill9)
            made.gateways.append(gateway)
        for gateway in made.gateways:
            gateway.wait_ready()
        behind = [f"{LOOPBACK}:{gateway.port}" for gateway in made.gateways]
        data, log = folder / "data" / "nginx", folder / "logs" / "nginx.log"
        made.front = Process(nginx(data, log, Front(servers.ports.nginx), behind))
        made.front.start()
        stack.callback(made.front.kill9)
        made.front.wait_ready()
        yield made


async def _stock(settings: Settings) -> None:
    resources = Resources.connect(settings)
    products = [product(number) for number in range(PRODUCTS)]
    await StockStore(resources.database[STOCK]).put(dict.fromkeys(products, PLENTY))
    await resources.close()
