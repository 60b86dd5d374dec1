"""Processes of a demonstration's own beside a running system: workers that join, more gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.settings import Settings
from infra.demo.claims import NotUpError
from infra.demo.system import System, environment_of
from infra.local import apps
from infra.local.control import Process
from infra.local.nginx import Front, nginx
from infra.local.ports import Port, free_ports
from infra.local.process import Program, Stage, Started

# What one process alone may have.
PERSONAL = frozenset(
    {"WORKER_NAME", "WORKER_PORT", "WORKER_URL", "DATA_DIR", "GATEWAY_NAME", "GATEWAY_PORT"}
)
SHARED = frozenset(name.upper() for name in Settings.model_fields) - PERSONAL
# They leave while nobody waits for them: no gateway sends them anything, or they are killed.
LEAVING = {"STATIC_MEMBERSHIP": "false", "SHUTDOWN_DELAY_SECONDS": "0"}


class Beside:
    """Starts such processes, and ends those that still run; their files go with them."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder
        self._processes: list[Process] = []

    async def worker(self, name: str) -> Process:
        """A worker with the settings of those that run, in the same consumer groups."""
        shared = self._settings(Stage.WORKER)
        data, log = self._folder / "data" / name, self._folder / f"{name}.log"
        environment = {**shared, "SERVICES": "all", **LEAVING}
        return await self._start(apps.worker(name, _port(), data, log, environment))

    async def gateway(self, name: str) -> Process:
        """A gateway in front of the workers that run."""
        workers = [one.address for one in self._system.members(Stage.WORKER)]
        log = self._folder / f"{name}.log"
        environment = self._settings(Stage.GATEWAY)
        return await self._start(apps.gateway(name, _port(), workers, log, environment))

    async def nginx(self, strategy: str, gateways: Sequence[str]) -> Process:
        """The nginx of `make up`, with this strategy, in front of gateways given as `host:port`."""
        data = self._folder / "data" / f"nginx-{strategy}"
        log = self._folder / f"nginx-{strategy}.log"
        return await self._start(nginx(data, log, Front(_port(), strategy), gateways))

    async def close(self) -> None:
        """End what still runs, last started first."""
        for process in reversed(self._processes):
            await asyncio.to_thread(process.terminate)

    async def _start(self, program: Program) -> Process:
        process = Process(program)
        # On the list before it runs: whoever is interrupted here stops it.
        self._processes.append(process)
        await asyncio.to_thread(process.start)
        await asyncio.to_thread(process.wait_ready)
        return process

    def _settings(self, stage: Stage) -> dict[str, str]:
        """What those that run were given and may be shared."""
        (pattern, *_) = some_of(self._system, stage)
        given = environment_of(pattern.pid)
        return {name: value for name, value in given.items() if name in SHARED}


def some_of(system: System, stage: Stage) -> list[Started]:
    """The running processes of a kind.

    Raises:
        NotUpError: there are none that `make up` started here.
    """
    found = system.members(stage)
    if not found:
        raise NotUpError(
            f"No {stage.name.lower()} was started from this checkout: run `make up` first."
        )
    return found


@asynccontextmanager
async def beside(system: System) -> AsyncIterator[Beside]:
    """A `Beside` with a folder of its own."""
    with TemporaryDirectory(prefix="orderflow-demo-") as folder:
        processes = Beside(system, Path(folder))
        try:
            yield processes
        finally:
            await processes.close()


def _port() -> Port:
    return Port(free_ports(1)[0], "the port")
