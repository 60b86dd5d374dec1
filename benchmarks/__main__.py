"""`make bench`: run every job, print the table, write it to docs/performance.md.

`python -m benchmarks windows` runs one job and `--only faust,quixstreams` some of its systems:
printed, not written. GROWTH=1 runs the growth job alone and writes its part of the page, and
TAKEOVER=1 the takeover job, which `make bench` leaves out.
"""

import argparse
import asyncio
import os
import sys

from benchmarks import lessons, recovery, results, saga
from benchmarks.edge import job as edge
from benchmarks.takeover import job as takeover
from benchmarks.windows import growth, job

Measured = tuple[list[results.Result], str]
# Of `QUICK=1`: a rate that any machine with two cores holds.
QUICK_RATE, QUICK_SECONDS = 100, 15


async def main() -> int:
    """Run the jobs; non-zero if a result is not what it must be."""
    quick = os.environ.get("QUICK") == "1"
    for name, (run_apart, apart) in APART.items():
        if os.environ.get(name) == "1":
            found, section = await run_apart(quick=quick)
            print(section)
            results.write_apart(apart, found, section)
            return 0 if results.acceptable(found) else 1
    asked = arguments()
    found: list[results.Result] = []
    sections: list[str] = []
    chosen = JOBS if asked.job == "all" else {asked.job: (JOBS | LONGER)[asked.job]}
    for name, measure in chosen.items():
        print(f"{name} ...", flush=True)
        ran, section = await measure(asked, quick=quick)
        found += ran
        sections.append(section)
    print(results.table(found))
    print("\n\n".join(sections))
    if asked.job == "all" and not asked.only:
        results.write(found, sections)
    return 0 if results.acceptable(found) else 1


async def windows(asked: argparse.Namespace, *, quick: bool) -> Measured:
    """One-hour windows, by every system."""
    only = [name for name in asked.only.split(",") if name]
    return await job.run_all(quick=quick, only=only, events=asked.events, rounds=asked.rounds)


async def recoveries(_asked: argparse.Namespace, *, quick: bool) -> Measured:
    """A table that comes back from its changelog."""
    return await recovery.run_all(quick=quick)


async def sagas(_asked: argparse.Namespace, *, quick: bool) -> Measured:
    """Orders through the whole system."""
    found: list[results.Result] = []
    sections: list[str] = []
    for name, sales in saga.jobs(quick=quick).items():
        print(f"{name}: {len(sales):,} orders ...", flush=True)
        ran, section = await saga.run(name, sales)
        found += ran
        sections.append(section)
    return found, "\n\n".join(sections)


async def the_edge(_asked: argparse.Namespace, *, quick: bool) -> Measured:
    """Requests through nginx and gateways; a look is one rate, and nothing is killed."""
    if quick:
        return await edge.measure(edge.Asked(("rate",), QUICK_SECONDS, QUICK_RATE))
    return await edge.run(quick=False)


async def the_lessons(_asked: argparse.Namespace, *, quick: bool) -> Measured:
    """What the handbook teaches, in figures; not for a look, they take some minutes."""
    return ([], "") if quick else await lessons.run(quick=False)


async def grow(*, quick: bool) -> Measured:
    """More and more events by ours."""
    found = await growth.run(quick=quick)
    return found, growth.explain(found)


async def take_overs(asked: argparse.Namespace, *, quick: bool) -> Measured:
    """A worker ends, and another takes its windows over."""
    return await takeover.run(quick=quick, sizes=[asked.events] if asked.events else ())


JOBS = {
    "windows": windows,
    "recovery": recoveries,
    "saga": sagas,
    "edge": the_edge,
    "lessons": the_lessons,
}
# Not among those of `make bench`: it would take twice as long.
LONGER = {"takeover": take_overs}
# Jobs that are run alone and have a part of the page to themselves, by the variable that asks.
APART = {"GROWTH": (grow, results.GROWTH), "TAKEOVER": (takeover.run, results.TAKEOVER)}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("job", nargs="?", choices=["all", *JOBS, *LONGER], default="all")
    parser.add_argument("--only", default="", help="systems of the windows job, by their names")
    parser.add_argument("--rounds", type=int, default=1, help="how often the windows job is run")
    parser.add_argument("--events", type=int, help="how many, in the windows and takeover jobs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
