"""The system that a demonstration looks at: the one that `make up` started, or one of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from app.domain import inventory, payment
from app.domain.simulation import fails
from app.web.acceptance import derived_id
from infra.demo.claims import DemoError, NotUpError
from infra.local import guardian, java
from infra.local.cli import FOLDER
from infra.local.errors import LocalError
from infra.local.health import answers, http_ok
from infra.local.install import install
from infra.local.ports import LOOPBACK, free_ports, is_free
from infra.local.process import Stage, Started
from infra.local.world import World, foreign_check

# Of a system of our own: declines are rare enough to be chosen, by the order's id, and found in
# some thousand tries.
OWN_SIMULATION = {"PAYMENT_FAILURE_RATE": "0.001", "PAYMENT_SEED": "7"}
# A thousandth is found within these but for one time in e^100.
KEY_TRIES = 100_000
# Workers and gateways take consecutive ports: room for these many of each.
MEMBERS = 8
PORT_BLOCK = 2 * MEMBERS + 8
BLOCK_TRIES = 200


@dataclass(frozen=True, slots=True)
class Simulation:
    """How the workers' simulation was set; which orders fail follows from it and their ids."""

    payment_rate: float = 0.0
    inventory_rate: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Simulation:
        """As a worker with this environment has it."""
        return cls(
            float(environment.get("PAYMENT_FAILURE_RATE") or 0),
            float(environment.get("INVENTORY_FAILURE_RATE") or 0),
            int(environment.get("PAYMENT_SEED") or 0),
        )

    def key(self, user: str, *, declined: bool = False) -> str:
        """An `Idempotency-Key` under which the user's order will be declined, or will not be.

        Raises:
            DemoError: there is none, as where nothing is ever declined.
        """
        for _ in range(KEY_TRIES):
            key = uuid4().hex
            order = derived_id(user, key)
            if fails(self.seed, payment.STEP, order, self.payment_rate) is declined and not fails(
                self.seed, inventory.STEP, order, self.inventory_rate
            ):
                return key
        wanted = "fails" if declined else "goes through"
        raise DemoError(f"The simulation is set such that no order's payment {wanted}.")


@dataclass(frozen=True, slots=True)
class System:
    """A running system, and where its parts are.

    Attributes:
        simulation: of its workers.
        own: whether it is there for this demonstration alone.
    """

    world: World
    simulation: Simulation
    own: bool = False

    @property
    def api(self) -> str:
        """URL of the API through nginx."""
        return self.world.api

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.world.environment()["KAFKA_BOOTSTRAP_SERVERS"]

    def members(self, stage: Stage) -> list[Started]:
        """The running workers, gateways or servers that this checkout started."""
        running = self.world.state.load().running().values()
        return [one for one in running if one.stage is stage]

    def log(self, name: str) -> Path:
        """The log of a program."""
        return self.world.folder / "logs" / f"{name}.log"


def running(environment: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> System:
    """The system of this checkout.

    Raises:
        NotUpError: it does not answer.
    """
    try:
        world = World(folder, environment)
    except LocalError as error:
        raise NotUpError(str(error)) from None
    ready = f"http://{LOOPBACK}:{world.ports.nginx.number}/readyz"
    if not http_ok(ready):
        raise NotUpError(
            f"No system answers at {ready}: run `make up` first, or give --own to have one started."
        )
    kafka = world.environment()["KAFKA_BOOTSTRAP_SERVERS"]
    if not answers(foreign_check("kafka", kafka, environment)):
        raise NotUpError(f"Kafka does not answer at {kafka}: run `make up` first.")
    workers = [one for one in world.state.load().running().values() if one.is_worker()]
    return System(world, Simulation.of(environment_of(workers[0].pid) if workers else {}))


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


class _Guarded(list[Started]):
    """Notes what was started, so that it ends with us, however we end."""

    def append(self, started: Started) -> None:
        super().append(started)
        guardian.watch(started)


@contextmanager
def own(say: Callable[[str], None], **settings: str) -> Iterator[System]:
    """A system on free ports with its data in a folder of its own; both are gone afterwards.

    Args:
        say: told what is started.
        settings: of `make up`, such as `GATEWAYS="3"`, and those of the workers' simulation.

    Raises:
        NotUpError: it could not be started.
    """
    simulation = {name: settings.get(name, value) for name, value in OWN_SIMULATION.items()}
    folder = Path(tempfile.mkdtemp(prefix="orderflow-demo-"))
    try:
        environment = {"WORKERS": "1", "PROMETHEUS": "off", **_block_of_ports(), **settings}
        world = World(folder, environment, say)
    except LocalError as error:
        shutil.rmtree(folder)
        raise NotUpError(str(error)) from None
    world.worker_defaults.update(simulation)
    # Nobody sends it anything any more when it is stopped.
    world.defaults["SHUTDOWN_DELAY_SECONDS"] = "0"
    fresh = _Guarded()
    try:
        try:
            install(say, optional=False)
            java.build()
            world.up(fresh)
        except LocalError as error:
            raise NotUpError(str(error)) from None
        yield System(world, Simulation.of(simulation), own=True)
    finally:
        world.say = lambda _: None
        world.down(fresh)
        for started in fresh:
            guardian.forget(started)
        shutil.rmtree(folder, ignore_errors=True)


def _block_of_ports() -> dict[str, str]:
    """Free ports for a whole system, those of workers and of gateways with room behind them."""
    for _ in range(BLOCK_TRIES):
        (first,) = free_ports(1)
        if all(is_free(first + i) for i in range(PORT_BLOCK)):
            rest = first + 2 * MEMBERS
            names = ("NGINX", "NGINX_TLS", "KAFKA", "KAFKA_CONTROLLER", "MONGODB", "REDIS")
            return {
                "WORKER_PORT": str(first),
                "GATEWAY_PORT": str(first + MEMBERS),
                **{f"{name}_PORT": str(rest + i) for i, name in enumerate(names)},
            }
    raise LocalError(f"found no {PORT_BLOCK} free ports in a row")
