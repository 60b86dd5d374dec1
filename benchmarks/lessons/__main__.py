"""`python -m benchmarks.lessons`: the figures of the handbook's lessons, two minutes or three.

Starts servers and gateways of its own on free ports, and leaves nothing behind. `--write` puts the
figures into the pages, `--json FILE` the records into a file, and QUICK=1 takes half of the time.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import orjson

from benchmarks import lessons, results


async def main() -> int:
    """Run the lessons; non-zero if an answer was not what it must be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lessons", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/handbook/")
    parser.add_argument("--json", type=Path, help="where to write the records")
    asked = parser.parse_args()
    found, sections = await lessons.measure(quick=os.environ.get("QUICK") == "1")
    print("\n\n".join([f"Machine: {results.machine()}.", results.table(found), *sections.values()]))
    if asked.write:
        lessons.write(sections)
    if asked.json is not None:
        records = [result.record() for result in found]
        asked.json.write_bytes(orjson.dumps(records, option=orjson.OPT_INDENT_2))
    return 0 if results.acceptable(found) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
