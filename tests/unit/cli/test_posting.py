"""Posting orders to a server that answers as it is told."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app import catalogue
from app.cli.console import CommandError
from app.cli.posting import Kind, Posted, Poster, body, post_all
from app.streaming.retry import Backoff
from app.web.requests import parse_order
from infra.local.ports import free_ports

PATIENCE = Backoff(first=0.001, most=0.002)


class Shop:
    """Takes orders; `script` says which faults come before each key's first acceptance, `together`
    how many have to be there before the first is answered."""

    def __init__(
        self, script: Callable[[int], int] = lambda attempt: 202, together: int = 1
    ) -> None:
        self.script = script
        self.together = together
        self.all_there = asyncio.Event()
        self.attempts: dict[str, int] = defaultdict(int)
        self.taken: dict[str, Any] = {}
        self.busy = self.busiest = 0
        self.headers: dict[str, str] = {}

    async def take(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        if self.busy == self.together:
            self.all_there.set()
        await self.all_there.wait()
        await asyncio.sleep(0.001)
        self.busy -= 1
        attempt = self.attempts[key]
        self.attempts[key] += 1
        status = self.script(attempt)
        if status != 202:
            return web.json_response(
                {"detail": "as told"}, status=status, headers={"Retry-After": "0"}
            )
        known = key in self.taken
        self.taken[key] = await request.json()
        self.headers = dict(request.headers)
        replayed = {"Idempotency-Replayed": "true"} if known else {}
        return web.json_response({"orderId": f"id-{key}"}, status=202, headers=replayed)


@asynccontextmanager
async def poster(shop: Shop, retry_seconds: float = 5.0) -> AsyncIterator[Poster]:
    app = web.Application()
    app.router.add_post("/api/orders", shop.take)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Poster(
            session, str(server.make_url("/api/")), retry_seconds=retry_seconds, backoff=PATIENCE
        )


async def send(shop: Shop, orders: int, **options: Any) -> Posted:
    async with poster(shop) as client:
        return await post_all(
            islice(catalogue.sales(), orders), client, **{"rate": 0, "concurrency": 8, **options}
        )


async def test_each_order_is_posted_under_its_invoice() -> None:
    shop = Shop()

    posted = await send(shop, 30)

    assert {sale.invoice for sale in islice(catalogue.sales(), 30)} == set(shop.taken)
    assert 30 == posted.kinds[Kind.ACCEPTED] == len(set(posted.ids))
    assert posted.complete


async def test_no_more_than_so_many_wait_at_once() -> None:
    shop = Shop(together=4)

    await send(shop, 40, concurrency=4)

    assert 4 == shop.busiest


async def test_passing_faults_are_retried_under_the_same_key() -> None:
    faults = [503, 409, 502, 504, 429]
    shop = Shop(lambda attempt: faults[attempt] if attempt < len(faults) else 202)

    posted = await send(shop, 3)

    assert {6} == set(shop.attempts.values())
    assert dict.fromkeys((f"HTTP {fault}" for fault in faults), 3) == dict(posted.retries)
    assert 3 == posted.kinds[Kind.ACCEPTED]


async def test_an_order_that_is_refused_is_not_retried_and_says_why() -> None:
    shop = Shop(lambda attempt: 422)

    posted = await send(shop, 3)

    assert 3 == posted.kinds[Kind.REFUSED]
    assert {"HTTP 422: as told": 3} == dict(posted.details)
    assert not posted.complete


async def test_orders_posted_before_are_counted_as_already_there() -> None:
    shop = Shop()

    await send(shop, 5)
    posted = await send(shop, 8)

    assert (3, 5) == (posted.kinds[Kind.ACCEPTED], posted.kinds[Kind.ALREADY_THERE])
    assert 5 == len(posted.known)
    assert posted.complete


async def test_a_fault_that_stays_is_given_up_within_the_bound() -> None:
    shop = Shop(lambda attempt: 503)

    async with poster(shop, retry_seconds=0.05) as client:
        posted = await post_all(islice(catalogue.sales(), 2), client, rate=0, concurrency=2)

    assert 2 == posted.kinds[Kind.GAVE_UP]
    assert {"HTTP 503": 2} == dict(posted.details)


async def test_once_nothing_answers_any_more_the_rest_is_not_tried() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}/api"
    async with aiohttp.ClientSession() as session:
        client = Poster(session, url, retry_seconds=0.5, backoff=PATIENCE)
        posted = await post_all(islice(catalogue.sales(), 50), client, rate=0, concurrency=2)

    assert 0 < posted.kinds[Kind.GAVE_UP] < 50
    assert 50 == posted.sent + posted.unsent
    assert not posted.complete


async def test_the_rate_spreads_the_orders_evenly() -> None:
    shop = Shop()

    posted = await send(shop, 11, rate=5)

    assert 2.0 <= posted.ended - posted.began < 20.0


async def test_a_reader_that_fails_ends_the_run_with_its_error() -> None:
    def broken() -> Any:
        yield from islice(catalogue.sales(), 3)
        raise CommandError("line 4 is no sale")

    async with poster(Shop()) as client:
        with pytest.raises(CommandError, match="line 4"):
            await post_all(broken(), client, rate=0, concurrency=2)


def test_the_body_is_what_the_service_takes() -> None:
    sale = next(catalogue.sales())

    order = parse_order(body(sale), max_items=len(sale.lines))

    assert sale.total == sum(item.quantity * item.price for item in order.items)
    assert sale.placed_at == order.placed_at
