"""The edge's part of docs/performance.md."""

import os
from collections.abc import Sequence

import orjson

from benchmarks.edge.faults import Fault
from benchmarks.edge.figures import ACCEPTING, READING, READS, Figures, counted, milliseconds
from benchmarks.edge.running import P99_ACCEPT_SECONDS, WANTED_RATE, Run, Search, Spent

FUNCTIONS_SHOWN = 8
SHARE_SHOWN = 0.01
DETAIL_CHARACTERS = 120
TIMES = "p50 ms | p90 ms | p99 ms | max ms"


def explain(
    searched: Search, profiles: Sequence[Spent], faults: Sequence[Fault], *, balanced: bool
) -> str:
    """All of it as Markdown."""
    parts = []
    if searched.runs:
        parts.append(_rates(searched))
    for one in searched.whole or searched.steps[-1:]:
        parts += [_times(one.figures), _cost(one)]
    parts += [_profile(profile) for profile in profiles]
    if faults:
        parts.append(_faults(faults))
    books = "The books balance" if balanced else "The books do NOT balance"
    parts.append(f"{books} after all of it (`faust -A app verify`).")
    return "\n\n".join(parts)


def _verdict(searched: Search) -> str:
    slow = f"{1000 * P99_ACCEPT_SECONDS:.0f} ms"
    borne, quick = searched.borne, searched.quick
    if borne is None:
        return f"No rate that was tried is borne without an error. {WANTED_RATE:,} were wanted."
    told = (
        f"{borne.figures.rate:,.0f} requests a second are answered as fast as they come, without "
        f"an error; {WANTED_RATE:,} were wanted."
    )
    if quick is None:
        return f"{told} At no rate that was tried is p99 of accepting an order within {slow}."
    return (
        f"{told} Up to {quick.figures.rate:,.0f} requests a second, p99 of accepting an order is "
        f"within {slow}: {1000 * quick.figures.p99_accept:,.0f} ms."
    )


def _rates(searched: Search) -> str:
    tried = searched.runs
    rows = [
        f"| {one.figures.rate:,.0f} | {one.figures.count / one.figures.rate:.0f} "
        f"| {one.figures.achieved:,.0f} | {one.figures.error_share:.2%} "
        f"| {1000 * one.figures.p99_accept:,.0f} | {len(one.figures.record.accepted):,} "
        f"| {one.drain_seconds:.0f} | {one.lost} "
        f"| {1000 * one.whole_cpu_seconds / one.figures.count:.1f} "
        f"| {counted(one.figures.errors)} |"
        for one in tried
    ]
    cores = os.cpu_count() or 1
    first = tried[0]
    borne = cores * first.figures.count / first.whole_cpu_seconds
    return "\n".join(
        [
            _verdict(searched),
            "",
            (
                "| asked/s | seconds | answered well/s | errors | p99 of accepting ms | accepted "
                "| last order's end, s later | lost | ms of CPU a request | kinds of errors |"
            ),
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
            *rows,
            "",
            (
                "The CPU is that of all processes, the load generator among them, until the last "
                "order's end; at a higher rate a request costs less, since more is done together. "
                f"By what one costs at {first.figures.rate:,.0f}/s, {cores} cores bear "
                f"{borne:,.0f} requests a second for long, orders done to their ends."
            ),
            *_samples([one.figures for one in tried]),
        ]
    )


def _samples(loads: Sequence[Figures]) -> list[str]:
    """What clients were told, of each kind of error once."""
    told = {kind: body for one in loads for kind, body in one.record.samples.items()}
    lines = [f"* {kind}: {_detail(body)}" for kind, body in sorted(told.items())]
    return ["", "What was said, for example:", "", *lines] if lines else []


def _detail(body: str) -> str:
    try:
        return str(orjson.loads(body)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body[:DETAIL_CHARACTERS]


def _times(figures: Figures) -> str:
    kinds = {"accepting an order (202)": ACCEPTING, "all reads": READING}
    kinds |= {f"reading {name}": kind for name, kind in READS.items()}
    rows = [
        f"| {name} | {figures.count_of(kind):,} | {milliseconds(figures.times(kind))} |"
        for name, kind in kinds.items()
        if figures.count_of(kind)
    ]
    return "\n".join(
        [
            f"Times at {figures.rate:,.0f}/s, from when a request was due:",
            "",
            f"| request | count | {TIMES} |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            (
                f"{figures.partial:,} dashboards had a part missing; "
                f"{figures.record.connections:,} connections were open at most."
            ),
        ]
    )


def _cost(done: Run) -> str:
    count, seconds = done.figures.count, done.figures.seconds
    cores = os.cpu_count() or 1
    total = sum(done.cpu_seconds.values())
    rows = [
        f"| {name} | {spent:.1f} | {1000 * spent / count:.2f} | {spent / total:.0%} "
        f"| {done.backlog_cpu_seconds.get(name, 0.0):.1f} |"
        for name, spent in done.cpu_seconds.items()
    ]
    return "\n".join(
        [
            (
                f"In those {seconds:.1f} s at {done.figures.rate:,.0f}/s, "
                f"{total / seconds / cores:.0%} of {cores} cores went to:"
            ),
            "",
            "| process | CPU s | ms a request | share | CPU s afterwards |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _profile(spent: Spent) -> str:
    packages = ", ".join(
        f"{name} {share:.0%}" for name, share in spent.packages if share >= SHARE_SHOWN
    )
    functions = ", ".join(
        f"`{name}` {share:.0%}" for name, share in spent.functions[:FUNCTIONS_SHOWN]
    )
    return (
        f"Samples of {spent.name} (py-spy, while it had Python's lock), by the package of the "
        f"deepest frame: {packages}. Functions in which it was itself: {functions}."
    )


def _faults(faults: Sequence[Fault]) -> str:
    rate = faults[0].figures.rate
    rows = [
        f"| {one.name} | {one.ready - one.killed:.1f} | {one.figures.count:,} "
        f"| {one.figures.error_share:.2%} | {one.error_seconds:.1f} "
        f"| {1000 * max(one.after.record.took, default=0.0):,.0f} "
        f"| {1000 * one.after.p99_accept:,.0f} "
        f"| {one.lost} | {counted(one.figures.errors_of(ACCEPTING))} "
        f"| {counted(one.figures.errors_of(READING))} |"
        for one in faults
    ]
    return "\n".join(
        [
            f"### Killed under load: {rate:,.0f} requests a second",
            "",
            (
                "`kill -9`, and started again 3 s later. Requests are not repeated by the client. "
                "Lost: answered with 202, and without an end."
            ),
            "",
            (
                "| killed | back after s | requests | errors | last error, s after "
                "| longest answer ms | p99 of accepting since ms | lost | errors of accepting "
                "| errors of reading |"
            ),
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
            *rows,
            *_samples([one.figures for one in faults]),
        ]
    )
