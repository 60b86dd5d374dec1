"""The whole system: orders over HTTP through gateway, two workers and Kafka to their ends."""

import asyncio
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import aiohttp

from app.books import load
from app.cli import endings
from app.cli.posting import Poster, post_all
from app.resources import Resources
from app.retail import DEFAULT_CSV, Line, Sale, read_sales
from app.settings import Settings
from app.stores.repositories import ORDERS, STOCK
from app.stores.stock import StockStore
from benchmarks import stores_alone
from benchmarks.measure import Profile, Usage, usages
from benchmarks.results import Result
from infra.local.testing import LocalServers, start_gateway, start_worker

# Enough posts in flight that the system, and not the client's patience, is the bound.
CONCURRENCY = 256
WARM_UP_ORDERS = 300
PLENTY = 10_000_000
TWO_LINE_PRODUCTS = 2500
PROFILE_SECONDS = 10
# What an order needs to end; `orderflow-all-services` adds all others to each worker.
SAGA_SERVICES = "order,inventory,payment"


def two_lines(count: int, seed: int = 1) -> Iterator[Sale]:
    """Orders of two lines over 2,500 products."""
    chance = random.Random(seed)
    at = datetime(2024, 1, 1, tzinfo=UTC)
    for number in range(count):
        products = chance.sample(range(TWO_LINE_PRODUCTS), 2)
        lines = tuple(Line(f"item-{p}", chance.randint(1, 5), 199 + p) for p in products)
        yield Sale(
            f"two-{number}", f"user-{number % 997}", "UK", at + timedelta(seconds=number), lines
        )


def jobs(*, quick: bool) -> dict[str, list[Sale]]:
    """The orders of each job. Without the real ledger, real orders are left out."""
    found = {"saga, orders of two lines": list(two_lines(1500 if quick else 8000))}
    if DEFAULT_CSV.exists():
        count = 500 if quick else 3000
        found = {"saga, real orders": list(islice(read_sales(DEFAULT_CSV), count))} | found
    return found


async def run(job: str, sales: Sequence[Sale]) -> tuple[list[Result], str]:
    """The job by the whole system and by the stores alone, and where the system's time went."""
    with tempfile.TemporaryDirectory(prefix="orderflow-bench-") as folder:
        with LocalServers(Path(folder) / "system", lasting=True) as servers:
            result, profile = await _system(job, "orderflow", SAGA_SERVICES, servers, sales)
        with LocalServers(Path(folder) / "all", lasting=True) as servers:
            with_all, _ = await _system(job, "orderflow-all-services", "all", servers, sales)
        with LocalServers(Path(folder) / "alone", only={"mongo", "redis"}, lasting=True) as servers:
            settings = _settings(servers)
            await _stock(settings, sales)
            limit = await stores_alone.run(job, settings, sales)
    return [result, with_all, limit], profile


def _settings(servers: LocalServers) -> Settings:
    return Settings(
        kafka_bootstrap_servers=servers.kafka,
        mongodb_url=servers.mongodb_url,
        redis_url=servers.redis_url,
    )


async def _stock(settings: Settings, sales: Sequence[Sale]) -> None:
    resources = Resources.connect(settings)
    products = {line.product_id for sale in sales for line in sale.lines}
    await StockStore(resources.database[STOCK]).put(dict.fromkeys(products, PLENTY))
    await resources.close()


async def _system(
    job: str, system: str, services: str, servers: LocalServers, sales: Sequence[Sale]
) -> tuple[Result, str]:
    settings = _settings(servers)
    await _stock(settings, sales)
    resources = Resources.connect(settings)
    workers = [start_worker(servers, f"worker-{n}", env={"SERVICES": services}) for n in (1, 2)]
    gateway = start_gateway(servers, workers)
    try:
        warm = [replace(s, invoice=f"warm-{s.invoice}") for s in sales[:WARM_UP_ORDERS]]
        await _send(resources, f"{gateway.url}/api", warm)
        pids = {
            "worker-1": workers[0].pid,
            "worker-2": workers[1].pid,
            "gateway": gateway.pid,
            "client": os.getpid(),
            **{name: servers.process(name).pid for name in servers.names},
        }
        before = usages(pids)
        profiler = Profile(workers[0].pid, PROFILE_SECONDS)
        seconds = await _send(resources, f"{gateway.url}/api", sales)
        after = usages(pids)
        books = await books_balance(resources)
    finally:
        for process in (gateway, *workers):
            process.terminate()
        await resources.close()
    cpu = {name: after[name].cpu_seconds - before[name].cpu_seconds for name in pids}
    peak = sum(usage.peak_memory_mb for name, usage in after.items() if name != "client")
    result = Result(job, system, len(sales), seconds, sum(cpu.values()), peak, books)
    return result, _explain(job, seconds, cpu, after, profiler)


async def _send(resources: Resources, url: str, sales: Sequence[Sale]) -> float:
    """Seconds from the first post to the last end; every order accepted, every order ended."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONCURRENCY),
        headers={"Content-Type": "application/json"},
    ) as session:
        posted = await post_all(iter(sales), Poster(session, url), rate=0, concurrency=CONCURRENCY)
    if not posted.complete or posted.known:
        raise RuntimeError(f"not every order was accepted: {posted.kinds} {posted.details}")
    ended = await endings.wait_for_ends(
        resources.database[ORDERS], posted.ids, limit=endings.limit_seconds(len(posted.ids))
    )
    if ended.pending:
        raise RuntimeError(f"{len(ended.pending)} orders did not end")
    return max(ending.ended_at for ending in ended.ended) - posted.began


async def books_balance(resources: Resources) -> bool:
    """Whether they do once all is settled: an order has its end before its stock is called sold."""
    give_up = asyncio.get_running_loop().time() + endings.WAIT_SECONDS
    while True:
        books = await load(resources.database)
        if books.balanced or asyncio.get_running_loop().time() > give_up:
            return books.balanced
        await asyncio.sleep(1)


def _explain(
    job: str,
    seconds: float,
    cpu: dict[str, float],
    after: dict[str, Usage],
    profiler: Profile,
) -> str:
    cores = os.cpu_count() or 1
    rows = [
        f"### Where the time goes: {job}",
        "",
        f"In {seconds:.1f} s, {sum(cpu.values()) / seconds / cores:.0%} of {cores} cores went to:",
        "",
        "| process | CPU s | share | peak MB |",
        "| --- | ---: | ---: | ---: |",
    ]
    total = sum(cpu.values())
    rows += [
        f"| {name} | {spent:.1f} | {spent / total:.0%} | {after[name].peak_memory_mb:,.0f} |"
        for name, spent in sorted(cpu.items(), key=lambda item: -item[1])
    ]
    rows += [
        "",
        "Samples of worker-1 (py-spy), by the package of the deepest frame:",
        "",
        "| package | share |",
        "| --- | ---: |",
    ]
    rows += [f"| {name} | {share:.0%} |" for name, share in profiler.shares() if share >= 0.01]
    return "\n".join(rows)
