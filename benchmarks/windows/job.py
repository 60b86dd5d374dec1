"""The windows job: every system over the same topic, one after the other, on the same broker."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.measure import Usage
from benchmarks.results import Result
from benchmarks.windows import metered, topic
from benchmarks.windows.kafka_streams import build
from benchmarks.windows.running import Ran, run
from benchmarks.windows.systems import LIMIT, OURS, PEERS_PYTHON, SYSTEMS, System, named
from infra.local.testing import LocalServers

JOB = "windows"
EVENTS, QUICK_EVENTS = 500_000, 20_000
BOUND_SECONDS, QUICK_BOUND_SECONDS = 300.0, 10.0


async def run_all(
    *, quick: bool, only: Collection[str] = (), events: int | None = None, rounds: int = 1
) -> tuple[list[Result], str]:
    """The results of all systems, or those named, and how they compare.

    With several `rounds` every second one is run the other way round, so that what changes in the
    machine meanwhile falls on all alike.
    """
    chosen = [system for system in SYSTEMS if not only or system.name in only]
    if not all(system.ours for system in chosen):
        if not PEERS_PYTHON.exists():
            raise RuntimeError(f"{PEERS_PYTHON} is missing; `make bench` makes it")
        build.build()
    count = events or (QUICK_EVENTS if quick else EVENTS)
    bound = QUICK_BOUND_SECONDS if quick else BOUND_SECONDS
    runs = [each for n in range(rounds) for each in chosen[:: -1 if n % 2 else 1]]
    results, broker_cpu = [], dict.fromkeys((each.name for each in chosen), 0.0)
    with (
        tempfile.TemporaryDirectory(prefix="orderflow-bench-") as folder,
        LocalServers(Path(folder) / "servers", only={"kafka"}, lasting=True) as servers,
    ):
        source = topic.Source(servers.kafka)
        await source.grow_to(count)
        await warm_up(servers, source, Path(folder), bound)
        for number, system in enumerate(runs):
            before = broker_usage(servers).cpu_seconds
            apart = Path(folder) / f"run-{number}"
            apart.mkdir()
            again = system.group in {each.group for each in runs[number + 1 :]}
            result = await measure(system, servers, source, apart, bound, forget=again)
            used = broker_usage(servers).cpu_seconds - before
            broker_cpu[system.name] += used / rounds
            print(f"  {progress(result)}", flush=True)
            results.append(result)
    return results, explain(results, broker_cpu, source.value_bytes / source.events)


async def warm_up(servers: LocalServers, source: topic.Source, folder: Path, bound: float) -> None:
    """Read the topic once, uncounted: else the first system waits for a broker whose code is not
    compiled yet."""
    await measure(named(LIMIT), servers, source, folder, bound, forget=True)


def broker_usage(servers: LocalServers) -> Usage:
    """What the broker used so far."""
    return Usage.of(servers.process("kafka").pid)


async def measure(
    system: System,
    servers: LocalServers,
    source: topic.Source,
    folder: Path,
    bound: float,
    since: int | None = None,
    *,
    forget: bool = False,
) -> Result:
    """One system's run; what it made on the broker is measured and removed.

    With `since` (Unix time), windows that begin before are not compared; with `forget` its group
    will begin anew.
    """
    known = await topic.names(servers.kafka)
    out = folder / f"{system.name}.json"
    ran = run(
        system.command((servers.kafka, topic.TOPIC, str(source.events), str(out))), out, bound
    )
    made = await topic.names(servers.kafka) - known
    # Records that the broker has taken lie in the log's files at once, if not yet on the disk.
    stored = topic.stored_bytes(servers.directory / "data" / "kafka" / "log", made)
    await topic.remove(servers.kafka, made)
    if forget and ran.exit_code == 0:
        topic.forget_group(servers.kafka, system.group)
    right: Mapping[str, int] = source.totals
    if since is not None:
        right = after(since, right)
        ran = replace(ran, totals=None if ran.totals is None else after(since, ran.totals))
    return judge(system.name, ran, source.events, right, stored)


def after(since: int, totals: Mapping[str, int]) -> dict[str, int]:
    """Those of windows that begin at `since` (Unix time) or later."""
    return {key: amount for key, amount in totals.items() if begin(key) >= since}


def begin(key: str) -> int:
    """When a result's window begins, Unix time."""
    return int(key.partition("|")[0])


def judge(
    name: str, ran: Ran, events: int, totals: Mapping[str, int], changelog_bytes: int
) -> Result:
    """The result: equal if all events were processed and every window is right."""
    return Result(
        JOB,
        name,
        ran.processed,
        ran.seconds,
        ran.cpu_seconds,
        ran.peak_memory_mb,
        ran.processed == events and ran.totals == totals,
        changelog_bytes,
        _note(ran, events, totals),
        ran.stopped,
    )


def _note(ran: Ran, events: int, totals: Mapping[str, int]) -> str:
    if ran.stopped:
        return f"stopped by the bound at {ran.processed:,} of {events:,} events"
    if ran.exit_code != 0 or ran.totals is None:
        return f"failed with status {ran.exit_code}: {' '.join(ran.log.split())}"
    wrong = [key for key in {**ran.totals, **totals} if ran.totals.get(key) != totals.get(key)]
    return f"{len(wrong):,} of {len(totals):,} windows differ" if wrong else ""


def progress(result: Result) -> str:
    """A line while the job goes on."""
    return (
        f"{result.system}: {result.events_per_second:,.0f} events/s, "
        f"{'equal' if result.equal else 'NOT equal'} {result.note}"
    ).rstrip()


def explain(results: Sequence[Result], broker_cpu: Mapping[str, float], value_bytes: float) -> str:
    """How the systems compare with ours, and what they cost the broker."""
    runs: dict[str, list[Result]] = {}
    for result in results:
        runs.setdefault(result.system, []).append(result)
    rates = {name: median(run.events_per_second for run in of) for name, of in runs.items()}
    rows = [
        "### Windows: the systems beside each other",
        "",
        f"Events of {value_bytes:.0f} bytes of JSON and nine headers."
        + (" Of several rounds, the medians." if len(results) > len(runs) else ""),
        "",
        "| system | ours is | of the limit | broker's CPU s | µs of CPU an event | note |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, of in runs.items():
        rate = rates[name]
        ours = f"{rates[OURS] / rate:.1f} x" if rate and OURS in rates else "-"
        limit = f"{rate / rates[LIMIT]:.0%}" if rates.get(LIMIT) else "-"
        each = median(run.cpu_seconds / run.events * 1e6 if run.events else 0 for run in of)
        note = "; ".join(dict.fromkeys(run.note for run in of if run.note)).replace("|", " ")
        rows.append(
            f"| {name} | {ours} | {limit} | {broker_cpu[name]:.1f} | {each:,.0f} | {note} |"
        )
    return "\n\n".join(part for part in ("\n".join(rows), metered.explain(results)) if part)
