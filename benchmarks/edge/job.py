"""The edge under load: 70 % reads and 30 % orders through nginx, three gateways and two workers."""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.edge import faults, running
from benchmarks.edge.report import explain
from benchmarks.edge.system import System, system
from benchmarks.results import Result

PARTS = ("rate", "profile", *faults.FAULTS)
JOB = "edge"


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure.

    Attributes:
        seconds: for how long a rate must be held.
        rate: that to try alone; else `rates`, from the highest on.
        apart: requests go to processes that have web views alone.
    """

    parts: Collection[str] = PARTS
    seconds: float = running.HOLD_SECONDS
    rate: float | None = None
    rates: Sequence[float] = running.RATES
    apart: bool = False


QUICK = Asked(seconds=running.QUICK_HOLD_SECONDS, rates=running.QUICK_RATES)


# Of what two workers bear, one can bear so much while the other is away.
KILLED_SHARE = 0.5


async def run(*, quick: bool) -> tuple[list[Result], str]:
    """Everything, as the other jobs of `make bench` have it; and the search once more with web
    views in processes of their own, from the rate down that was borne."""
    asked = QUICK if quick else Asked()
    found, section, borne = await _measured(asked)
    rates = [rate for rate in asked.rates if rate <= borne]
    more, apart, _ = await _measured(Asked(("rate",), asked.seconds, rates=rates, apart=True))
    return found + more, f"{section}\n\n{apart}"


async def measure(asked: Asked) -> tuple[list[Result], str]:
    """What is asked for, on one system."""
    found, section, _ = await _measured(asked)
    return found, section


async def _measured(asked: Asked) -> tuple[list[Result], str, float]:
    with tempfile.TemporaryDirectory(prefix="orderflow-edge-") as folder:
        async with system(Path(folder), apart=asked.apart) as made:
            return await _measure(made, asked)


async def _measure(made: System, asked: Asked) -> tuple[list[Result], str, float]:
    await running.warm_up(made)
    rates = asked.rates if asked.rate is None else (asked.rate,)
    searched = running.Search()
    if "rate" in asked.parts:
        searched = await running.search(made, asked.seconds, rates)
    borne = searched.borne.figures.rate if searched.borne else rates[-1]
    profiled = await running.profiles(made, borne) if "profile" in asked.parts else []
    killed = []
    for name in faults.FAULTS:
        if name in asked.parts:
            rate = borne * KILLED_SHARE if asked.rate is None else asked.rate
            print(f"  {name} is killed at {rate:,.0f}/s ...", flush=True)
            killed.append(await faults.fault(made, name, rate))
    balanced = await made.balances()
    job = f"{JOB}, web views apart" if asked.apart else JOB
    found = [_result(job, one, balanced=balanced) for one in searched.runs]
    found += [_killed(one, balanced=balanced) for one in killed]
    title = f"### The edge under load{', web views apart' if asked.apart else ''}"
    return found, f"{title}\n\n{explain(searched, profiled, killed, balanced=balanced)}", borne


def _result(job: str, done: running.Run, *, balanced: bool) -> Result:
    """Its errors are figures, whatever the rate; an order that is lost is none."""
    figures = done.figures
    errors = figures.errors.total()
    return Result(
        f"{job}: mixed requests",
        f"{figures.rate:,.0f} a second",
        figures.count - errors,
        figures.seconds,
        sum(done.cpu_seconds.values()),
        done.peak_memory_mb,
        balanced and not done.lost,
        note="" if balanced and not done.lost else f"{done.lost} orders have no end",
    )


def _killed(one: faults.Fault, *, balanced: bool) -> Result:
    figures = one.figures
    return Result(
        f"{JOB}: {one.name} killed",
        f"{figures.rate:,.0f} a second",
        figures.count - figures.errors.total(),
        figures.seconds,
        one.cpu_seconds,
        one.peak_memory_mb,
        balanced and one.harmless,
        note="" if one.harmless else f"{one.lost} orders have no end; {one.forbidden}",
    )
