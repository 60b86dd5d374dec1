"""`make bench`: run every job, print the table, write it to docs/performance.md."""

import asyncio
import os
import sys

from benchmarks import results, saga


async def main() -> int:
    """Run the jobs; non-zero if a result is not what it must be."""
    quick = os.environ.get("QUICK") == "1"
    found, sections = [], []
    for job, sales in saga.jobs(quick=quick).items():
        print(f"{job}: {len(sales):,} orders ...", flush=True)
        ran, section = await saga.run(job, sales)
        found += ran
        sections.append(section)
    print(results.table(found))
    print("\n\n".join(sections))
    results.write(found, sections)
    return 0 if all(result.equal for result in found) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
