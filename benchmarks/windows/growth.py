"""The growth job: what an event costs ours as the topic grows, at as many events an hour.

Five million events are ten years: windows are deleted as their retention ends, so those that are
kept are compared.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.results import Result
from benchmarks.windows import job, topic
from benchmarks.windows.peers.report import HOUR_SECONDS
from benchmarks.windows.systems import OURS, System, named
from infra.local.testing import LocalServers

JOB = "windows-growth"
COUNTS = (500_000, 1_000_000, 2_000_000, 5_000_000)
QUICK_COUNTS = (20_000, 40_000)
# Ten times the windows job's: ten times its events.
BOUND_SECONDS = 3000.0
# Less than the years of the larger sizes, so that windows are deleted as events come: 800 days.
KEPT_SECONDS = 69_120_000


async def run(*, quick: bool, counts: Sequence[int] = ()) -> list[Result]:
    """A broker, a topic and a state of its own for each size."""
    ours = sweeping(named(OURS))
    results = []
    for count in counts or (QUICK_COUNTS if quick else COUNTS):
        with (
            tempfile.TemporaryDirectory(prefix="orderflow-bench-") as folder,
            LocalServers(Path(folder) / "servers", only={"kafka"}, lasting=True) as servers,
        ):
            source = topic.Source(servers.kafka)
            await source.grow_to(count)
            # Partitions delete their oldest windows each at its own time.
            newest = max(job.begin(key) for key in source.totals)
            since = newest - KEPT_SECONDS + HOUR_SECONDS
            result = await job.measure(ours, servers, source, Path(folder), BOUND_SECONDS, since)
        print(f"  {count:,}: {job.progress(result)}", flush=True)
        results.append(replace(result, job=JOB))
    return results


def sweeping(ours: System) -> System:
    """Ours with `KEPT_SECONDS`: by default hours are kept for longer than the events span."""
    kept = f"ANALYTICS_HOURS_KEPT_SECONDS={KEPT_SECONDS}"
    return replace(ours, command=lambda arguments: ("env", kept, *ours.command(arguments)))


def explain(results: Sequence[Result]) -> str:
    """The sizes beside each other; what an event cost is CPU of the process."""
    rows = [
        "| events | seconds | events/s | µs of CPU an event | peak MB | changelog MB | equal |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    rows += [
        f"| {r.events:,} | {r.seconds:.1f} | {r.events_per_second:,.0f} "
        f"| {r.cpu_seconds / r.events * 1e6 if r.events else 0:,.0f} | {r.peak_memory_mb:,.0f} "
        f"| {(r.changelog_bytes or 0) / 1e6:,.1f} | {'yes' if r.equal else 'NO'} |"
        for r in results
    ]
    return "\n".join(rows)
