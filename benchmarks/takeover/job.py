"""One worker of two ends, and the other takes its partitions over: by itself, and as a standby."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from app.settings import Settings
from app.topics import GROUP_PREFIX, ORDER_WINDOWS
from app.web.analytics.owners import GroupOwners
from benchmarks.lessons.instances import Cost
from benchmarks.results import Result
from benchmarks.takeover import report
from benchmarks.takeover.figures import Takeover, by_day, reference
from benchmarks.takeover.watching import LOOK_SECONDS, Worker, owns_all, watch
from benchmarks.windows import topic
from infra.demo.api import until
from infra.local.control import WorkerProcess
from infra.local.testing import LocalServers, start_worker

JOB = "takeover"
SIZES, QUICK_SIZES = (200_000, 500_000), (20_000,)
# Orders that come once a worker was told to end; some of them are its.
MEANWHILE = 1000
# Systems, by their standbys.
SYSTEMS = {"orderflow": 0, "orderflow-standby": 1}
ENDS: Mapping[str, Callable[[WorkerProcess], object]] = {
    "kill -9": WorkerProcess.kill9,
    "SIGTERM": WorkerProcess.terminate,
}
QUICK_ENDS = ("kill -9",)
GROUP = f"{GROUP_PREFIX}{ORDER_WINDOWS.service}"
# As in containers: who ended does not come back under its name, so nobody waits for it. No gateway
# is there that would have to hear of a worker's end before it.
ENVIRONMENT = {
    "SERVICES": ORDER_WINDOWS.service,
    "STATIC_MEMBERSHIP": "false",
    "SHUTDOWN_DELAY_SECONDS": "0",
}
# Two workers count 10,000 a second with every window that they keep, and far fewer beside others.
FILL_SECONDS = 300.0
# A worker joins its group in some seconds, and reads 100,000 changelog records a second at least.
START_SECONDS = 120.0
# The session time-out, a rebalance, and the same recovery.
BOUND_SECONDS = 120.0
REQUEST_SECONDS = 5.0
# What is read is read many times a second; and an order that is counted twice is so by then.
STILL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """A broker with the topic, and who asks it."""

    servers: LocalServers
    source: topic.Source
    owners: GroupOwners
    session: aiohttp.ClientSession


async def run(*, quick: bool, sizes: Sequence[int] = ()) -> tuple[list[Result], str]:
    """All sizes, systems and ends; the results, and a part of the page."""
    rows: list[report.Row] = []
    for size in sizes or (QUICK_SIZES if quick else SIZES):
        async with place(size) as made:
            for end in QUICK_ENDS if quick else ENDS:
                for system in SYSTEMS:
                    row = await take_over(made, system, end)
                    print(f"  {size:,}, {end}: {report.progress(row)}", flush=True)
                    rows.append(row)
    return [row.result for row in rows], report.explain(rows, session_seconds())


def session_seconds() -> float:
    """After so long without a heartbeat a worker is taken for dead."""
    return float(Settings.model_fields["session_timeout_seconds"].default)


@asynccontextmanager
async def place(size: int) -> AsyncIterator[Place]:
    """A broker of its own with so many orders, counted in full by workers that are gone."""
    with (
        tempfile.TemporaryDirectory(prefix="orderflow-bench-") as folder,
        LocalServers(Path(folder) / "servers", lasting=True) as servers,
    ):
        owners = GroupOwners(
            Settings(kafka_bootstrap_servers=servers.kafka), GROUP, request_seconds=REQUEST_SECONDS
        )
        async with aiohttp.ClientSession() as session:
            made = Place(servers, topic.Source(servers.kafka), owners, session)
            try:
                await made.source.grow_to(size)
                await count(made)
                yield made
            finally:
                await owners.close()


async def count(made: Place) -> None:
    """Two workers count all that there is, and leave."""
    with ExitStack() as stack:
        workers = [start(stack, made, f"counting-{number}", standbys=0) for number in (1, 2)]
        for each in workers:
            each.wait_ready()
        await whole(made, Worker(made.session, workers[0].url), FILL_SECONDS)
        for each in workers:
            each.terminate()


def start(stack: ExitStack, made: Place, name: str, *, standbys: int) -> WorkerProcess:
    """A worker with an empty data folder, ended with the stack at the latest."""
    env = {**ENVIRONMENT, "ANALYTICS_STANDBY_REPLICAS": str(standbys)}
    process = start_worker(made.servers, name, env=env, wait=False)
    stack.callback(process.kill9)
    return process


async def whole(made: Place, worker: Worker, seconds: float) -> None:
    """Wait until the worker answers with all orders of the topic."""
    right = reference(made.source.totals, made.source.events)

    async def answered() -> bool:
        look = await worker.look(0.0)
        return look.whole and look.sums == right

    await until(answered, seconds, f"{made.source.events:,} orders are counted", LOOK_SECONDS)


async def settled(worker: Worker) -> int:
    """Wait until it reads nothing back: as a standby, too, it has all; what it has read."""
    known, found = -1, await worker.read_back()
    while found != known:
        await asyncio.sleep(STILL_SECONDS)
        known, found = found, await worker.read_back()
    return found


async def take_over(made: Place, system: str, end: str) -> report.Row:
    """Two workers read the tables back; then one ends, and the other is watched."""
    name = f"{system}-{end.replace(' ', '')}-{made.source.events}"
    with ExitStack() as stack:
        # The one that stays comes second: never has it had the other's partitions.
        leaving = start(stack, made, f"{name}-leaving", standbys=SYSTEMS[system])
        await until(
            lambda: owns_all(made.owners, leaving.url), START_SECONDS, "it is alone", LOOK_SECONDS
        )
        staying = start(stack, made, f"{name}-staying", standbys=SYSTEMS[system])
        leaving.wait_ready()
        staying.wait_ready()
        worker = Worker(made.session, staying.url)
        await whole(made, worker, START_SECONDS)
        read_before = await settled(worker)
        before = reference(made.source.totals, made.source.events)
        cost = Cost([staying])

        began = time.monotonic()
        ending = asyncio.create_task(asyncio.to_thread(ENDS[end], leaving))
        await made.source.grow_to(made.source.events + MEANWHILE)
        after = reference(made.source.totals, made.source.events)
        seen = await watch(worker, made.owners, began, (before, after), BOUND_SECONDS)
        cpu_seconds, peak_memory_mb = cost.cpu_seconds, cost.peak_memory_mb
        await ending
        seen = replace(seen, read_back=await settled(worker) - read_before)
        equal = seen.right and await agrees(made, worker)
        staying.terminate()
    return report.Row(
        end,
        seen,
        Result(
            f"{JOB}, {end}",
            system,
            made.source.events,
            seen.counted or BOUND_SECONDS,
            cpu_seconds,
            peak_memory_mb,
            equal,
            changelog_bytes(made.servers),
            "" if equal else wrong(seen),
        ),
    )


async def agrees(made: Place, worker: Worker) -> bool:
    """Whether it says the same of each day and country as the reference, to the penny."""
    last = await worker.look(0.0)
    right = reference(made.source.totals, made.source.events)
    return last.whole and last.sums == right and await worker.days() == by_day(made.source.totals)


def changelog_bytes(servers: LocalServers) -> int:
    """What the broker keeps of the orders' windows."""
    log = servers.directory / "data" / "kafka" / "log"
    return topic.stored_bytes(log, {ORDER_WINDOWS.changelog})


def wrong(seen: Takeover) -> str:
    """What is not as it must be."""
    if seen.counted is None:
        last = seen.looks[-1] if seen.looks else None
        return f"not whole with all orders within {BOUND_SECONDS:g} s: {last}"
    return "a whole answer was wrong" if not seen.right else "a day and country is wrong"
