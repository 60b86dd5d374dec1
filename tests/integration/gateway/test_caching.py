"""The read cache of several gateways on one Redis, and without it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from redis.asyncio import Redis

from app.identity import Role
from gateway.caching import BODY_MAX_BYTES, QUERY_MAX_CHARACTERS, RULES, Rule
from infra.local.testing import LocalServers
from tests.integration.gateway.servers import Gateway
from tests.integration.gateway.test_limiting import (
    PATIENCE_SECONDS,
    SECRET,
    bearer,
    patiently,
    three,
    until_back,
)

PATH = "/api/inventory"
# So long that nothing becomes stale while a test runs, or so short that it has by the next request.
LONG = Rule(fresh=600, stale=600, group="inventory")
STALE = Rule(fresh=0, stale=600, group="inventory")


@dataclass
class Figures:
    """A worker whose every answer is another number; `gate` holds them back."""

    number: int = 0
    document: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        number = 0
        if request.method == "GET":
            self.number += 1
            number = self.number
            await self.gate.wait()
        return web.Response(
            body=orjson.dumps({"number": number, **self.document}),
            status=self.status,
            content_type="application/json",
            headers=self.headers,
        )


@contextlib.asynccontextmanager
async def caching(
    url: str, monkeypatch: pytest.MonkeyPatch, rule: Rule, **fields: Any
) -> AsyncIterator[tuple[list[Gateway], Figures]]:
    monkeypatch.setitem(RULES, PATH, rule)  # type: ignore[arg-type]
    figures = Figures()
    figures.gate.set()
    async with three(url, **fields) as (fronts, worker):
        worker.answer = figures.answer
        yield fronts, figures


async def get(front: Gateway, path: str = PATH, **headers: str) -> tuple[int, str, int | None]:
    """Status, what the cache says, and the number."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with front.client.get(path, headers=sent) as answer:
        body = await answer.read()
        number = orjson.loads(body).get("number") if body else None
        return answer.status, answer.headers.get("X-Cache", ""), number


async def test_an_answer_is_kept_for_all_gateways_and_said_to_be(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, _):
        assert (200, "miss", 1) == await get(fronts[0])
        assert [(200, "hit", 1)] * 3 == [await get(front) for front in fronts]
        async with fronts[2].client.get(PATH) as answer:
            assert "max-age=600, stale-while-revalidate=600" == answer.headers["Cache-Control"]
            assert answer.headers["Age"].isdecimal()
            assert "application/json" == answer.content_type
        sample = f'cache_requests_total{{outcome="hit",path="{PATH}"}}'
        assert 2.0 == await fronts[2].metric(sample)
        assert (200, "miss", 2) == await get(fronts[0], PATH + "?limit=5")


async def test_who_has_the_answer_is_not_sent_it_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, figures):
        async with fronts[0].client.get(PATH) as answer:
            tag = answer.headers["ETag"]
        assert tag.startswith('"')
        for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            assert (304, "hit", None) == await get(fronts[1], If_None_Match=known)
        assert (200, "hit", 1) == await get(fronts[1], If_None_Match='"another"')
        async with fronts[1].client.get(PATH, headers={"If-None-Match": tag}) as answer:
            assert (tag, b"") == (answer.headers["ETag"], await answer.read())
        figures.number = 0  # the same again, asked for anew
        assert (304, "bypass", None) == await get(
            fronts[0], If_None_Match=tag, Cache_Control="no-cache"
        )


async def test_one_gateway_asks_anew_while_all_answer_what_is_stale(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, STALE) as (fronts, figures):
        assert (200, "miss", 1) == await get(fronts[0])
        figures.gate.clear()
        found = await asyncio.gather(*(get(fronts[i % 3]) for i in range(12)))
        assert [(200, "stale", 1)] * 12 == found
        await patiently(lambda: figures.number == 2)
        figures.gate.set()
        await eventually(fronts[1], lambda number: number is not None and number > 1)


async def test_those_who_miss_the_same_wait_for_one_answer(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, figures):
        figures.gate.clear()
        async with Redis.from_url(redis_url) as redis:
            await redis.config_resetstat()
            asking = [asyncio.create_task(get(fronts[0])) for _ in range(10)]
            looked: dict[str, Any] = {}
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Each has asked for its limit and for the answer.
                while looked.get("cmdstat_evalsha", {}).get("calls", 0) < 20:
                    looked = await redis.info("commandstats")
        await patiently(lambda: figures.number > 0)
        figures.gate.set()
        assert [(200, "miss", 1)] * 10 == await asyncio.gather(*asking)


@pytest.mark.parametrize(
    "odd",
    [
        {"status": 503},
        {"status": 404},
        {"document": {"partial": True}},
        {"headers": {"Cache-Control": "private"}},
        {"headers": {"Set-Cookie": "a=b"}},
        {"document": {"padding": "x" * BODY_MAX_BYTES}},
    ],
    ids=("503", "404", "partial", "private", "cookie", "large"),
)
async def test_what_is_not_a_whole_good_answer_for_all_is_never_kept(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, figures):
        for name, value in odd.items():
            setattr(figures, name, value)
        status = odd.get("status", 200)
        assert (status, "miss", 1) == await get(fronts[0])
        assert (status, "miss", 2) == await get(fronts[0])


async def test_a_client_that_wants_the_latest_gets_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, _):
        assert (200, "miss", 1) == await get(fronts[0])
        assert (200, "bypass", 2) == await get(fronts[0], Cache_Control="no-cache")
        assert (200, "bypass", 3) == await get(fronts[0], Cache_Control="max-age=0")
        assert (200, "hit", 3) == await get(fronts[1])
        assert (200, "bypass", 4) == await get(fronts[0], Cache_Control="no-store")
        assert (200, "hit", 3) == await get(fronts[1], Cache_Control="max-age=300")
        long = PATH + "?" + "x" * (QUERY_MAX_CHARACTERS + 1)
        assert ["bypass"] * 2 == [(await get(fronts[0], long))[1] for _ in range(2)]


async def test_what_was_changed_is_read_as_changed_at_every_gateway(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, _):
        assert (200, "miss", 1) == await get(fronts[0])
        async with fronts[2].client.put(PATH + "/cup", json={"available": 3}) as answer:
            assert 200 == answer.status
        assert (200, "miss", 2) == await get(fronts[0])
        assert (200, "hit", 2) == await get(fronts[1])


async def test_an_answer_asked_for_before_a_change_is_not_kept_after_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, figures):
        figures.gate.clear()
        early = asyncio.create_task(get(fronts[0]))
        await patiently(lambda: figures.number == 1)
        async with fronts[1].client.put(PATH + "/cup", json={}) as answer:
            assert 200 == answer.status
        figures.gate.set()
        assert (200, "miss", 1) == await early
        assert (200, "miss", 2) == await get(fronts[0])
        assert (200, "hit", 2) == await get(fronts[1])


async def test_each_role_has_answers_of_its_own(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG, auth_secret=SECRET) as (fronts, _):
        roles = (Role.CUSTOMER, Role.OPERATOR, Role.CUSTOMER)
        found = [await get(fronts[0], **bearer("ann", role)) for role in roles]
        assert [(200, "miss", 1), (200, "miss", 2), (200, "hit", 1)] == found
        assert (200, "miss", 3) == await get(fronts[0])
        async with fronts[0].client.get(PATH, headers=bearer("bob", Role.CUSTOMER)) as answer:
            assert "private, max-age=600" == answer.headers["Cache-Control"].rpartition(",")[0]


async def test_without_redis_every_answer_is_a_workers(
    redis_alone: LocalServers, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caching(redis_url, monkeypatch, LONG) as (fronts, _):
        assert (200, "miss", 1) == await get(fronts[0])
        redis_alone.stop("redis")
        try:
            assert [(200, "bypass", number) for number in (2, 3)] == [
                await get(fronts[0]) for _ in range(2)
            ]
        finally:
            redis_alone.start("redis")
        await until_back(fronts[0])
        assert (await get(fronts[0]))[1] in ("miss", "hit")
        assert "hit" == (await get(fronts[0]))[1]


async def eventually(front: Gateway, holds: Callable[[int | None], bool]) -> None:
    """Wait until the answer's number is such a one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds((await get(front))[2]):
            await asyncio.sleep(0.01)
