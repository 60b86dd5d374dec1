"""The HTTP payment provider against a real server that answers, delays, forgets to answer, and lies
down."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.domain.payment import Action, Request, Result
from app.providers.http import WITHDRAWN, HttpProvider, UnknownOutcomeError
from app.streaming import Backoff

pytestmark = pytest.mark.timeout(30)
ATTEMPTS = 3
# Of an answer: none is late here, also where the machine is busy.
ANSWER_SECONDS = 10.0


@dataclass
class Provider:
    """A provider's server: its books, and how it treats each order."""

    charges: dict[str, float] = field(default_factory=dict)
    refunds: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    silent: dict[str, int] = field(default_factory=dict)  # answers that get lost, an order
    declined: set[str] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0

    async def charge(self, request: web.Request) -> web.Response:
        body = await request.json()
        key = request.headers["Idempotency-Key"]
        assert key == body["orderId"]
        self.calls[key] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if key in self.declined:
            return web.json_response({"ok": False, "detail": "declined"})
        self.charges.setdefault(key, body["amount"])
        self._lose_the_answer(key)
        return web.json_response({"ok": True, "paymentId": f"p-{key}"})

    async def withdraw(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        self._lose_the_answer(f"withdraw {key}")
        self.charges.pop(key, None)
        return web.json_response({"ok": True})

    async def refund(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        self._lose_the_answer(key)
        self.refunds[key] = 1
        return web.json_response({"ok": True})

    def _lose_the_answer(self, key: str) -> None:
        if self.silent.get(key, 0):
            self.silent[key] -= 1
            raise web.HTTPBadGateway


@dataclass
class Bench:
    server: Provider
    client: HttpProvider


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    provider = Provider()
    app = web.Application()
    app.router.add_post("/charges", provider.charge)
    app.router.add_delete("/charges/{key}", provider.withdraw)
    app.router.add_post("/refunds", provider.refund)
    async with TestServer(app) as server:
        client = HttpProvider(
            str(server.make_url("")).rstrip("/"),
            timeout=ANSWER_SECONDS,
            attempts=ATTEMPTS,
            backoff=Backoff(uniform=lambda low, high: 0.0),
            concurrency=4,
        )
        yield Bench(provider, client)
        await client.close()


def charge(order: str, amount: int = 125) -> Request:
    return Request(Action.CHARGE, order, amount)


async def test_charges_are_answered_in_their_order_and_amounts_are_decimals(bench: Bench) -> None:
    bench.server.declined.add("b")
    results = await bench.client.call([charge("a"), charge("b"), charge("c", 250)])
    assert [
        Result(ok=True, payment_id="p-a"),
        Result(ok=False, detail="declined"),
        Result(ok=True, payment_id="p-c"),
    ] == list(results)
    assert {"a": 1.25, "c": 2.5} == bench.server.charges


async def test_no_more_calls_than_allowed_are_under_way_at_once(bench: Bench) -> None:
    await bench.client.call([charge(str(n)) for n in range(40)])
    assert bench.server.most_at_once <= 4


async def test_a_lost_answer_is_asked_for_again_with_the_same_key_and_charges_once(
    bench: Bench,
) -> None:
    bench.server.silent["a"] = ATTEMPTS - 1
    assert [Result(ok=True, payment_id="p-a")] == list(await bench.client.call([charge("a")]))
    assert ATTEMPTS == bench.server.calls["a"]
    assert {"a": 1.25} == bench.server.charges


async def test_a_charge_that_never_gets_an_answer_is_withdrawn_before_it_fails(
    bench: Bench,
) -> None:
    bench.server.silent["a"] = ATTEMPTS
    results = await bench.client.call([charge("a"), charge("b")])
    assert [Result(ok=False, detail=WITHDRAWN), Result(ok=True, payment_id="p-b")] == list(results)
    assert {"b": 1.25} == bench.server.charges


async def test_while_not_even_the_withdrawal_is_answered_the_outcome_is_unknown(
    bench: Bench,
) -> None:
    bench.server.silent |= {"a": ATTEMPTS, "withdraw a": 1}
    with pytest.raises(UnknownOutcomeError):
        await bench.client.call([charge("a"), charge("b")])
    # Asked again later, all is settled, and nobody was charged twice.
    results = await bench.client.call([charge("a"), charge("b")])
    assert [True, True] == [result.ok for result in results]
    assert {"a": 1.25, "b": 1.25} == bench.server.charges


async def test_a_refund_without_an_answer_is_never_taken_for_one(bench: Bench) -> None:
    bench.server.silent["a"] = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        await bench.client.call([Request(Action.REFUND, "a", 125)])
    assert [Result(ok=True)] == list(await bench.client.call([Request(Action.REFUND, "a", 125)]))


async def test_a_provider_that_is_not_there_leaves_the_outcome_unknown() -> None:
    client = HttpProvider(
        "http://127.0.0.1:1",
        timeout=ANSWER_SECONDS,
        attempts=2,
        backoff=Backoff(uniform=lambda low, high: 0.0),
        concurrency=4,
    )
    try:
        with pytest.raises(UnknownOutcomeError):
            await client.call([charge("a")])
    finally:
        await client.close()
