"""What the metrics cost: the same job by ours with and without them, in pairs."""

from collections.abc import Sequence
from statistics import median

from benchmarks.results import Result
from benchmarks.windows.systems import OURS, UNMETERED

MICRO = 1e6


def explain(results: Sequence[Result]) -> str:
    """A line a pair, and their medians; nothing where there is no pair."""
    with_them = [one for one in results if one.system == OURS and one.events]
    without = [one for one in results if one.system == UNMETERED and one.events]
    pairs = list(zip(with_them, without, strict=False))
    if not pairs:
        return ""
    rows = [
        "### Windows: what the metrics cost",
        "",
        "With all metrics of a worker and a scrape a second, and without any.",
        "",
        "| pair | µs of CPU an event, with | without | CPU | events/s, with | without | time |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    cpu, time = [], []
    for number, (one, other) in enumerate(pairs, start=1):
        each, each_without = _cpu(one), _cpu(other)
        cpu.append(each / each_without - 1)
        time.append(other.events_per_second / one.events_per_second - 1)
        rows.append(
            f"| {number} | {each:,.1f} | {each_without:,.1f} | {cpu[-1]:+.1%} "
            f"| {one.events_per_second:,.0f} | {other.events_per_second:,.0f} | {time[-1]:+.1%} |"
        )
    rows += ["", f"Median of {len(pairs)}: CPU {median(cpu):+.1%}, time {median(time):+.1%}."]
    return "\n".join(rows)


def _cpu(result: Result) -> float:
    return result.cpu_seconds / result.events * MICRO
