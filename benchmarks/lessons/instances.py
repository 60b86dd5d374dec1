"""Gateways to learn from, and what their processes use."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.measure import Usage, peak_memory_mb
from infra.local.control import GatewayProcess, Process
from infra.local.ports import LOOPBACK
from infra.local.testing import LocalServers, start_gateway


@dataclass(frozen=True)
class Livable:
    """A worker that only lives: a gateway wants one."""

    url: str


@asynccontextmanager
async def instances(count: int) -> AsyncIterator[list[GatewayProcess]]:
    """So many gateways beside each other, as a load balancer would have them behind it."""
    app = web.Application()
    app.router.add_get("/livez", _livez)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    worker = Livable(site.name)
    with (
        tempfile.TemporaryDirectory(prefix="orderflow-lessons-") as folder,
        LocalServers(Path(folder), only={"redis"}) as servers,
    ):
        started: list[GatewayProcess] = []
        try:
            for number in range(1, count + 1):
                name = f"gateway-{number}"
                # In a thread, because the worker that it waits for lives in this loop.
                started.append(await asyncio.to_thread(start_gateway, servers, [worker], name))
            yield started
        finally:
            for gateway in started:
                await asyncio.to_thread(gateway.terminate)
            await runner.cleanup()


async def _livez(_request: web.Request) -> web.Response:
    return web.Response()


def client() -> aiohttp.ClientSession:
    """A client with as many connections as it needs."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


class Cost:
    """What processes and their descendants use from now on."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._pids = [process.pid for process in processes]
        self._before = self._cpu_seconds()

    @property
    def cpu_seconds(self) -> float:
        return self._cpu_seconds() - self._before

    @property
    def peak_memory_mb(self) -> float:
        return sum(peak_memory_mb(pid) for pid in self._pids)

    def _cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self._pids)


def _cpu_seconds(pid: int) -> float:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Usage.of(pid).cpu_seconds + sum(_cpu_seconds(int(child)) for child in children)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
