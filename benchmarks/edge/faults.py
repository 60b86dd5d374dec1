"""A worker, a gateway and Redis killed under load: what clients are told, and for how long."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.edge.figures import Figures
from benchmarks.edge.system import System
from benchmarks.lessons.instances import Cost
from infra.local.control import Process

# By then the load is even.
BEFORE_SECONDS = 5.0
# So long it is away, which is how soon a supervisor starts a process again.
AWAY_SECONDS = 3.0
# Longer than a worker's start and the rebalance after it.
AFTER_SECONDS = 22.0
# Whom each fault ends.
FAULTS: dict[str, Callable[[System], Process]] = {
    "worker": lambda system: system.workers[0],
    "gateway": lambda system: system.gateways[0],
    "redis": lambda system: system.servers.process("redis"),
}
# What a client may be told meanwhile; 503 says when to come again.
ALLOWED = re.compile(r"503 problem\+json, Retry-After|50[24] problem\+json(, Retry-After)?")


@dataclass(frozen=True)
class Fault:
    """What came of a fault.

    Attributes:
        killed: when, by the machine's monotonic clock; `ready` when it was there again.
        lost: orders that were accepted and have come to no end.
        cpu_seconds: of all processes but the one that was killed, the load generator among them;
            `peak_memory_mb` of those of the system.
    """

    name: str
    figures: Figures
    killed: float
    ready: float
    lost: int
    cpu_seconds: float
    peak_memory_mb: float

    @property
    def after(self) -> Figures:
        """What was due from the kill on."""
        return self.figures.since(self.killed)

    @property
    def error_seconds(self) -> float:
        """From the kill to the turn of the last request that was not answered well."""
        return max((moment - self.killed for moment in self.figures.error_moments), default=0.0)

    @property
    def forbidden(self) -> dict[str, int]:
        """Errors of kinds that there must not be."""
        return {
            kind: count
            for kind, count in self.figures.errors.items()
            if not ALLOWED.fullmatch(kind)
        }

    @property
    def harmless(self) -> bool:
        """Whether clients were told only what they may be, and no order was lost."""
        return not self.forbidden and not self.lost


async def fault(
    system: System,
    name: str,
    rate: float,
    *,
    before: float = BEFORE_SECONDS,
    away: float = AWAY_SECONDS,
    after: float = AFTER_SECONDS,
) -> Fault:
    """Kill it under load, start it again, and wait for the end of all that was accepted."""
    victim = FAULTS[name](system)
    others = Cost([process for process in system.processes.values() if process is not victim])
    with system.begun(rate, before + away + after) as running:
        await asyncio.sleep(before)
        killed = time.monotonic()
        await asyncio.to_thread(victim.kill9)
        await asyncio.sleep(away)
        await asyncio.to_thread(victim.start)
        await asyncio.to_thread(victim.wait_ready)
        ready = time.monotonic()
        figures = await running.figures()
    ended = await system.all_end(figures.record.accepted)
    return Fault(
        name,
        figures,
        killed,
        ready,
        len(ended.pending),
        others.cpu_seconds + figures.record.cpu_seconds,
        others.peak_memory_mb,
    )
