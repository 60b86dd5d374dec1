"""`make bench`: run every job, print the table, write it to docs/performance.md.

`python -m benchmarks windows` runs one job and `--only faust,quixstreams` some of its systems:
printed, not written. GROWTH=1 runs the growth job alone and writes its part of the page.
"""

import argparse
import asyncio
import os
import sys

from benchmarks import results, saga
from benchmarks.windows import growth, job


async def main() -> int:
    """Run the jobs; non-zero if a result is not what it must be."""
    quick = os.environ.get("QUICK") == "1"
    if os.environ.get("GROWTH") == "1":
        return await grow(quick=quick)
    asked = arguments()
    found: list[results.Result] = []
    sections: list[str] = []
    if asked.job in ("all", "windows"):
        print("windows: 1-hour revenue by country ...", flush=True)
        only = [name for name in asked.only.split(",") if name]
        ran, section = await job.run_all(quick=quick, only=only, events=asked.events)
        found += ran
        sections.append(section)
    if asked.job in ("all", "saga"):
        for name, sales in saga.jobs(quick=quick).items():
            print(f"{name}: {len(sales):,} orders ...", flush=True)
            ran, section = await saga.run(name, sales)
            found += ran
            sections.append(section)
    print(results.table(found))
    print("\n\n".join(sections))
    if asked.job == "all" and not asked.only:
        results.write(found, sections)
    return 0 if results.acceptable(found) else 1


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("job", nargs="?", choices=["all", "windows", "saga"], default="all")
    parser.add_argument("--only", default="", help="systems of the windows job, by their names")
    parser.add_argument("--events", type=int, help="how many events in the windows job")
    return parser.parse_args()


async def grow(*, quick: bool) -> int:
    """The growth job, and its part of the page."""
    found = await growth.run(quick=quick)
    section = growth.explain(found)
    print(section)
    results.write_growth(found, section)
    return 0 if results.acceptable(found) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
