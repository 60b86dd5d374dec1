"""`faust -A app replay`: post orders over HTTP, wait for their ends, say what came of them."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console

from app.cli import endings
from app.cli.console import FAILED, UNREACHABLE, CommandError, progress
from app.cli.endings import Endings
from app.cli.posting import REQUEST_SECONDS, Kind, Posted, Poster, post_all
from app.cli.sources import DEFAULT_ORDERS, Source
from app.cli.summary import summary
from app.domain.order import OrderStatus
from app.retail import Sale
from app.stores.mongo import Database, ping
from app.stores.repositories import ORDERS

DEFAULT_URL = "http://127.0.0.1:8000/api"
DEFAULT_CONCURRENCY = 64
# A gateway that is just starting; a wrong address should not take longer to tell.
REACH_SECONDS = 10.0
REACH_RETRY_SECONDS = 0.5
DETAILS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Replay:
    """What to send, where and how; `orders` 0 means all, `rate` 0 as fast as possible."""

    source: Source
    orders: int = DEFAULT_ORDERS
    url: str = DEFAULT_URL
    rate: float = 0.0
    concurrency: int = DEFAULT_CONCURRENCY
    token: str | None = None
    wait: bool = True


async def replay(database: Database, console: Console, plan: Replay) -> int:
    """Send the orders, wait for their ends, print the summary; 0 only if every order ended.

    Raises:
        CommandError: nothing answers at the address, or the ledger can't be read.
        TransientStoreError: MongoDB can't be reached.
    """
    sales = plan.source.sales(plan.orders)
    if plan.wait:
        await ping(database)
    await _reach(console, plan.url)
    posted = await _post(console, plan, sales)
    ended = await _wait(database, console, posted) if plan.wait else None
    console.print(f"Replay of {plan.source.name}", soft_wrap=True, highlight=False)
    console.print(summary(plan.source, posted, ended))
    _explain(console, posted, ended)
    complete = posted.complete and (ended is None or not ended.pending)
    return 0 if complete else FAILED


async def _reach(console: Console, url: str) -> None:
    """Return when something listens at the address; whoever waits at a terminal is told so."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"{url} is no address: give one like {DEFAULT_URL}", UNREACHABLE)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    give_up, told = time.monotonic() + REACH_SECONDS, False
    while True:
        try:
            async with asyncio.timeout(REACH_SECONDS):
                _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.close()
            return
        except (OSError, TimeoutError) as error:
            if time.monotonic() > give_up:
                raise CommandError(
                    f"nothing answers at {url}: is the system up? (`make up`)", UNREACHABLE
                ) from error
            if console.is_terminal and not told:
                console.print(f"Waiting for {url} …", highlight=False, soft_wrap=True)
            told = True
        await asyncio.sleep(REACH_RETRY_SECONDS)


async def _post(console: Console, plan: Replay, sales: Iterator[Sale]) -> Posted:
    headers = {"Content-Type": "application/json"}
    if plan.token:
        headers["Authorization"] = f"Bearer {plan.token}"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=plan.concurrency),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
        headers=headers,
    ) as session:
        with progress(console, "Orders sent", plan.orders or None) as advance:

            def on_answer(posted: Posted) -> None:
                seconds = max(time.time() - posted.began, 0.001)
                retries = f", {posted.retries.total()} retries" if posted.retries else ""
                advance(posted.sent, f"{posted.sent / seconds:,.0f}/s{retries}")

            return await post_all(
                sales,
                Poster(session, plan.url),
                rate=plan.rate,
                concurrency=plan.concurrency,
                on_answer=on_answer,
            )


async def _wait(database: Database, console: Console, posted: Posted) -> Endings:
    with progress(console, "Orders ended", len(posted.ids)) as advance:

        def on_poll(found: Endings) -> None:
            confirmed = found.of(OrderStatus.CONFIRMED)
            cancelled = len(found.ended) - confirmed
            advance(len(found.ended), f"{confirmed:,} confirmed, {cancelled:,} cancelled")

        ended = await endings.wait_for_ends(
            database[ORDERS],
            posted.ids,
            limit=endings.limit_seconds(len(posted.ids)),
            on_poll=on_poll,
        )
    # Whoever answers twice need not say so; the order's own history does.
    for order_id in endings.earlier(ended.ended, posted.began) - posted.known:
        posted.known.add(order_id)
        posted.kinds[Kind.ACCEPTED] -= 1
        posted.kinds[Kind.ALREADY_THERE] += 1
    return ended


def _explain(console: Console, posted: Posted, ended: Endings | None) -> None:
    for detail, count in posted.details.most_common(DETAILS_SHOWN):
        console.print(f"{count:,} orders were not accepted: {detail}", markup=False, soft_wrap=True)
    if posted.unsent:
        console.print(f"{posted.unsent:,} orders were not sent: nothing answers any more")
    if ended is not None and ended.pending:
        first = ", ".join(ended.pending[:DETAILS_SHOWN])
        console.print(
            f"{len(ended.pending):,} orders have not ended, among them {first}", soft_wrap=True
        )
