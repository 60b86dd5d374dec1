"""`python -m infra.demo`: all demonstrations on one system of their own, and a summary."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from infra.demo import balancing, kafka_lessons, race, saga, scaling, trace
from infra.demo import system as systems
from infra.demo.claims import Claims, Status, explained, make_console
from infra.demo.command import Demo, prepare, run

DEMOS = (
    saga.DEMO,
    race.DEMO,
    kafka_lessons.DEMO,
    trace.DEMO,
    balancing.DEMO,
    scaling.DEMO,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run those that are named, or all; 0 only if every claim holds."""
    names = [demo.name for demo in DEMOS]
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description=__doc__)
    parser.add_argument("demo", nargs="*", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--up", action="store_true", help="on the system of `make up` instead")
    options = parser.parse_args(arguments)
    if unknown := set(options.demo) - set(names):
        parser.error(f"no demo {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [demo for demo in DEMOS if not options.demo or demo.name in options.demo]
    console = make_console()
    prepare()
    with explained(console) as early:
        if options.up:
            return _all(chosen, systems.running(), console)
        console.print("A system of its own:")
        needs = {name: value for demo in chosen for name, value in demo.needs.items()}
        with systems.own(console.print, **needs) as system:
            return _all(chosen, system, console)
    return early[0]


def _all(demos: Sequence[Demo], system: systems.System, console: Console) -> int:
    done: list[tuple[Claims, float]] = []
    for demo in demos:
        began = time.monotonic()
        done.append((run(demo, system, console), time.monotonic() - began))
    table = Table(title="All demonstrations", title_justify="left")
    for name in ("", "demonstration", "claims that hold", "s"):
        table.add_column(name, justify="right" if name == "s" else "left")
    for claims, seconds in done:
        table.add_row(
            "✔" if claims.status is Status.HOLDS else "✘",
            claims.title,
            f"{sum(one.holds for one in claims.made)} of {len(claims.made)}",
            f"{seconds:.1f}",
        )
    console.print(table)
    return max(claims.status for claims, _ in done)


if __name__ == "__main__":
    sys.exit(main())
