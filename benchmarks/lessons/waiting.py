"""The lesson on sync against event-driven: posts that wait for the whole saga, and posts that are
answered once the order is in the log, while each payment takes two seconds."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from app.cli import endings
from app.cli.posting import body
from app.resources import Resources
from app.retail import Sale
from app.settings import Settings
from app.stores.repositories import ORDERS, STOCK
from app.stores.stock import StockStore
from benchmarks.lessons.instances import Cost, quantile
from benchmarks.results import Result
from benchmarks.saga import PLENTY, SAGA_SERVICES, books_balance, two_lines
from infra.local.testing import LocalServers, start_gateway, start_worker

PAYMENT_DELAY_SECONDS = 2
# Both ways with as many; each sends the next order when the last is answered.
CLIENTS = 32
WARM_UP = 100
HEADERS = {"Content-Type": "application/json"}
# A client that waits is not told to come back later.
PATIENCE = {"Prefer": "wait=60"}


@dataclass(slots=True)
class Answered:
    """Orders that were answered, and how long each took."""

    ids: list[str] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    seconds: float = 0.0


async def run(*, quick: bool) -> tuple[list[Result], str]:
    """Both ways on one system, first the one that leaves nothing to do behind it."""
    sync_count, async_count = (160, 800) if quick else (320, 2000)
    sales = list(two_lines(WARM_UP + sync_count + async_count))
    with (
        tempfile.TemporaryDirectory(prefix="orderflow-lessons-") as folder,
        LocalServers(Path(folder)) as servers,
    ):
        resources = Resources.connect(
            Settings(
                kafka_bootstrap_servers=servers.kafka,
                mongodb_url=servers.mongodb_url,
                redis_url=servers.redis_url,
            )
        )
        products = {line.product_id for sale in sales for line in sale.lines}
        await StockStore(resources.database[STOCK]).put(dict.fromkeys(products, PLENTY))
        env = {"SERVICES": SAGA_SERVICES, "PAYMENT_DELAY_SECONDS": str(PAYMENT_DELAY_SECONDS)}
        workers = [start_worker(servers, f"worker-{n}", env=env) for n in (1, 2)]
        gateway = start_gateway(servers, workers)
        processes = [gateway, *workers, *(servers.process(name) for name in servers.names)]
        try:
            url = f"{gateway.url}/api/orders"
            warm = await _post(url, sales[:WARM_UP], {})
            await _end(resources, warm)
            cost = Cost(processes)
            waited = await _post(url, sales[WARM_UP:][:sync_count], PATIENCE)
            paid = all(each == (200, "CONFIRMED") for each in waited.statuses)
            results = [_result("wait for the saga", waited, cost, equal=paid)]
            cost = Cost(processes)
            accepted = await _post(url, sales[WARM_UP + sync_count :], {})
            taken = all(each == (202, "PENDING") for each in accepted.statuses)
            result = _result("202, and events", accepted, cost, equal=taken)
            ended = await _end(resources, accepted)
            balanced = ended and await books_balance(resources)
            results.append(result if balanced else _wrong(result))
        finally:
            for process in (gateway, *workers):
                await asyncio.to_thread(process.terminate)
            await resources.close()
    return results, explain(waited, accepted)


async def _post(url: str, sales: Sequence[Sale], headers: dict[str, str]) -> Answered:
    answered, left = Answered(), iter(sales)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CLIENTS), headers=HEADERS | headers
    ) as session:

        async def one_client() -> None:
            for sale in left:
                sent = time.perf_counter()
                async with session.post(url, data=body(sale)) as answer:
                    told = await answer.json(content_type=None)
                answered.took.append(time.perf_counter() - sent)
                answered.statuses.append((answer.status, str(told.get("status"))))
                answered.ids.append(str(told.get("orderId")))

        began = time.perf_counter()
        await asyncio.gather(*(one_client() for _ in range(CLIENTS)))
        answered.seconds = time.perf_counter() - began
    return answered


async def _end(resources: Resources, answered: Answered) -> bool:
    """Whether all come to an end, and are confirmed."""
    found = await endings.wait_for_ends(
        resources.database[ORDERS], answered.ids, limit=endings.limit_seconds(len(answered.ids))
    )
    return not found.pending and all(ending.status == "CONFIRMED" for ending in found.ended)


def _result(system: str, answered: Answered, cost: Cost, *, equal: bool) -> Result:
    return Result(
        f"lesson: sync and async, payments of {PAYMENT_DELAY_SECONDS} s",
        system,
        len(answered.ids),
        answered.seconds,
        cost.cpu_seconds,
        cost.peak_memory_mb,
        equal,
    )


def _wrong(result: Result) -> Result:
    return Result(
        result.job,
        result.system,
        result.events,
        result.seconds,
        result.cpu_seconds,
        result.peak_memory_mb,
        equal=False,
        note="not every accepted order was confirmed, or the books do not balance",
    )


def explain(waited: Answered, accepted: Answered) -> str:
    """The two ways, as a part of a page."""
    rates = [len(each.ids) / each.seconds for each in (waited, accepted)]
    rows = [
        f"| {name} | {rate:,.0f} | {rate / rates[0]:,.0f} "
        f"| {quantile(each.took, 0.5) * 1000:,.0f} | {quantile(each.took, 0.99) * 1000:,.0f} |"
        for name, rate, each in (
            ("`Prefer: wait=60`", rates[0], waited),
            ("202", rates[1], accepted),
        )
    ]
    return "\n".join(
        [
            "### Waiting for the saga, and not",
            "",
            (
                f"`POST /api/orders` by {CLIENTS} clients through a gateway and two workers, each "
                f"payment taking {PAYMENT_DELAY_SECONDS} s; all orders of both ways are confirmed "
                "in the end."
            ),
            "",
            "| answer | orders/s | ratio | p50 ms | p99 ms |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )
