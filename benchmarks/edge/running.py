"""Finds the rate that the system holds, and measures it there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.edge.figures import Figures
from benchmarks.edge.system import System
from benchmarks.measure import Profile, peak_memory_mb

WANTED_RATE = 1000
# Downwards until one holds.
RATES = (1000, 700, 500, 350, 250, 180, 120, 80, 50, 30)
QUICK_RATES = (1000, 350, 120, 30)
P99_ACCEPT_SECONDS = 0.1
# What is in flight at the end may take a moment longer.
ACHIEVED_LEAST = 0.98
HOLD_SECONDS, QUICK_HOLD_SECONDS = 60, 15
STEP_SECONDS = 12
# Answers that take seconds do not count as errors, but the rate is not borne if they pile up.
BORNE_LEAST = 0.85
# Connections, caches and the first garbage collections.
WARM_UP_RATE, WARM_UP_SECONDS = 100, 10
PROFILE_SECONDS = 10
# py-spy needs a moment to begin.
PROFILE_LOAD_SECONDS = PROFILE_SECONDS + 4


@dataclass(frozen=True)
class Run:
    """A load, what it cost, and what became of its orders.

    Attributes:
        cpu_seconds: of each process, while the load lasted; `backlog_cpu_seconds` from then until
            the last order's end.
        drain_seconds: from the load's end to the last order's.
        lost: orders that were accepted and have come to no end.
    """

    figures: Figures
    cpu_seconds: dict[str, float]
    backlog_cpu_seconds: dict[str, float]
    peak_memory_mb: float
    drain_seconds: float
    lost: int

    @property
    def whole_cpu_seconds(self) -> float:
        """Of all processes, until the last order's end."""
        return sum(self.cpu_seconds.values()) + sum(self.backlog_cpu_seconds.values())

    @property
    def holds(self) -> bool:
        """Whether the system bears this rate."""
        figures = self.figures
        return (
            not figures.errors
            and not self.lost
            and figures.p99_accept <= P99_ACCEPT_SECONDS
            and figures.achieved >= ACHIEVED_LEAST * figures.rate
        )

    @property
    def borne(self) -> bool:
        """Whether every request is answered well at this rate, however late."""
        figures = self.figures
        enough = figures.achieved >= BORNE_LEAST * figures.rate
        return enough and not figures.errors and not self.lost


async def warm_up(system: System) -> None:
    """Have everything made that is made once."""
    figures = await system.load(WARM_UP_RATE, WARM_UP_SECONDS)
    await system.all_end(figures.record.accepted)


async def run(system: System, rate: float, seconds: float) -> Run:
    """A load, and after it nothing left to do."""
    costs = system.costs()
    figures = await system.load(rate, seconds)
    ended = time.monotonic()
    cpu_seconds = {name: cost.cpu_seconds for name, cost in costs.items()}
    cpu_seconds["load generator"] = figures.record.cpu_seconds
    endings = await system.all_end(figures.record.accepted)
    drain_seconds = time.monotonic() - ended
    whole = {name: cost.cpu_seconds for name, cost in costs.items()}
    return Run(
        figures,
        cpu_seconds,
        {name: spent - cpu_seconds[name] for name, spent in whole.items()},
        sum(peak_memory_mb(process.pid) for process in system.processes.values()),
        drain_seconds,
        len(endings.pending),
    )


async def held(system: System, seconds: float, rates: Sequence[float]) -> list[Run]:
    """Short runs at lower and lower rates until one holds, and then, as the last, one for the whole
    time: at that rate or, where none holds, at the highest that is borne.
    """
    tried: list[Run] = []
    for rate in rates:
        tried.append(await run(system, rate, min(STEP_SECONDS, seconds)))
        tell(tried[-1])
        if tried[-1].holds:
            break
    if seconds > STEP_SECONDS or len(tried) > 1:
        good = [one for one in tried if one.holds] or [one for one in tried if one.borne]
        chosen = (good or tried[-1:])[0].figures.rate
        tried.append(await run(system, chosen, seconds))
        tell(tried[-1])
    return tried


def tell(done: Run) -> None:
    """A line for who waits."""
    figures = done.figures
    print(
        f"  {figures.rate:,.0f}/s: {figures.achieved:,.0f}/s answered well, "
        f"{figures.errors.total():,} errors, p99 of accepting "
        f"{1000 * figures.p99_accept:,.0f} ms, orders ended {done.drain_seconds:.0f} s later",
        flush=True,
    )


@dataclass(frozen=True)
class Spent:
    """Where a process's time goes: shares of its samples."""

    name: str
    functions: list[tuple[str, float]]
    packages: list[tuple[str, float]]


async def profiles(system: System, rate: float) -> list[Spent]:
    """Where a gateway's and a worker's time goes; a run of its own, for sampling costs time."""
    with system.begun(rate, PROFILE_LOAD_SECONDS) as running:
        samples = {
            process.name: Profile(process.pid, PROFILE_SECONDS)
            for process in (system.gateways[0], system.workers[0])
        }
        figures = await running.figures()
        found = [
            Spent(name, profile.functions(), profile.shares()) for name, profile in samples.items()
        ]
    await system.all_end(figures.record.accepted)
    return found
