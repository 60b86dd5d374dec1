"""Finds what rate the system bears and at what rate it is quick, and measures it there."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.edge.figures import Figures
from benchmarks.edge.system import System
from benchmarks.measure import Profile, peak_memory_mb

WANTED_RATE = 1000
# Downwards until one is borne and one is quick.
RATES = (1000, 700, 500, 350, 250, 150, 80, 40)
QUICK_RATES = (1000, 350, 120, 30)
P99_ACCEPT_SECONDS = 0.1
# What is in flight at the end may take a moment longer; more than that piles up.
ACHIEVED_LEAST = 0.97
HOLD_SECONDS, QUICK_HOLD_SECONDS = 60, 15
STEP_SECONDS = 12
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
    def borne(self) -> bool:
        """Whether every request is answered well, as fast as they come."""
        figures = self.figures
        enough = figures.achieved >= ACHIEVED_LEAST * figures.rate
        return enough and not figures.errors and not self.lost

    @property
    def quick(self) -> bool:
        """Whether it is borne, and orders are accepted in time."""
        return self.borne and self.figures.p99_accept <= P99_ACCEPT_SECONDS


@dataclass
class Search:
    """What was tried.

    Attributes:
        steps: short runs at lower and lower rates.
        whole: for the whole time, at the highest rate that is borne and, where that is another, at
            the highest that is quick.
    """

    steps: list[Run] = field(default_factory=list)
    whole: list[Run] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """All of them."""
        return [*self.steps, *self.whole]

    @property
    def borne(self) -> Run | None:
        """The longest run at the highest rate that was borne each time."""
        return self._highest(lambda one: one.borne)

    @property
    def quick(self) -> Run | None:
        """The longest run at the highest rate that was quick each time."""
        return self._highest(lambda one: one.quick)

    def _highest(self, good: Callable[[Run], bool]) -> Run | None:
        bad = {one.figures.rate for one in self.runs if not good(one)}
        found = [one for one in self.runs if one.figures.rate not in bad]
        return max(found, key=lambda one: (one.figures.rate, one.figures.count), default=None)


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


async def search(system: System, seconds: float, rates: Sequence[float]) -> Search:
    """Short runs at lower and lower rates until one is quick; then, for the whole time, at the
    highest rates that are borne and quick so long as well."""
    done = Search()
    for rate in rates:
        done.steps.append(await _told(system, rate, min(STEP_SECONDS, seconds)))
        if done.steps[-1].quick:
            break
    if seconds > STEP_SECONDS:
        # Each that does not hold out is out, and the next one is tried.
        for found in (lambda: done.borne, lambda: done.quick):
            while (best := found()) is not None and best not in done.whole:
                done.whole.append(await _told(system, best.figures.rate, seconds))
    return done


async def _told(system: System, rate: float, seconds: float) -> Run:
    done = await run(system, rate, seconds)
    tell(done)
    return done


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
