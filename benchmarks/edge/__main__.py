"""`python -m benchmarks.edge`: the edge under load, ten minutes or so.

Starts a system of its own on free ports, and leaves nothing behind. QUICK=1 holds rates for 15 s
instead of 60, `--rate` tries one rate only, `--only rate,profile,worker,gateway,redis` does some of
the parts, and `--json FILE` writes the records.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import orjson

from benchmarks import results
from benchmarks.edge import job


async def main() -> int:
    """Measure; non-zero if an order was lost, or a client was told what it must not be."""
    quick = os.environ.get("QUICK") == "1"
    usual = job.QUICK if quick else job.Asked()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge", description=__doc__)
    parser.add_argument("--only", default=",".join(job.PARTS), help="parts, with commas")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="to hold a rate for")
    parser.add_argument("--rate", type=float, help="requests a second, instead of a search")
    parser.add_argument(
        "--apart", action="store_true", help="send requests to processes with web views alone"
    )
    parser.add_argument("--json", type=Path, help="where to write the records")
    given = parser.parse_args()
    parts = [part for part in given.only.split(",") if part]
    unknown = sorted(set(parts) - set(job.PARTS))
    if unknown:
        parser.error(f"--only {','.join(unknown)}: give some of {','.join(job.PARTS)}")
    found, section = await job.measure(
        job.Asked(parts, given.seconds, given.rate, usual.rates, given.apart)
    )
    print("\n\n".join([f"Machine: {results.machine()}.", results.table(found), section]))
    if given.json is not None:
        records = [result.record() for result in found]
        given.json.write_bytes(orjson.dumps(records, option=orjson.OPT_INDENT_2))
    return 0 if results.acceptable(found) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
