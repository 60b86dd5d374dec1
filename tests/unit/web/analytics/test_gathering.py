"""Asking other workers over HTTP, and what happens when they or the broker fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.tables import keys
from app.tables.keys import By
from app.tables.reading import Part, Question, Range
from app.tables.tally import Sums
from app.web.analytics.gathering import Gatherer, PartFetcher
from app.web.analytics.owners import Owners, OwnersUnknownError
from app.web.analytics.parts import PartViews
from app.web.middleware import answered
from tests.tables import MemoryTable

TOKEN = "secret"
RANGE = Range(60, By.COUNTRY, -60, 1 << 40, 10, from_key="Côte d'Ivoire & more?", newest=True)
KEY = keys.window(60, By.COUNTRY, 0, "France")


@pytest.fixture
async def worker() -> AsyncIterator[TestServer]:
    table = MemoryTable()
    table.partitions = {0: {KEY: Sums(orders=3).encode()}, 2: {}}
    views = PartViews({"t": table}, TOKEN)
    app = web.Application(middlewares=[answered])
    app.router.add_get("/analytics/parts/{table}", views.get)
    app.router.add_get("/garbage/analytics/parts/{table}", garbage)
    async with TestServer(app) as server:
        yield server


async def garbage(request: web.Request) -> web.Response:
    return web.Response(text="<html>")


@pytest.fixture
async def fetch() -> AsyncIterator[PartFetcher]:
    fetcher = PartFetcher(TOKEN)
    yield fetcher
    await fetcher.close()


async def test_parts_come_over_http_as_they_are_stored(
    worker: TestServer, fetch: PartFetcher
) -> None:
    parts = await fetch(str(worker.make_url("")).rstrip("/"), "t", RANGE, [0, 1, 2])

    assert [0, 2] == [part.partition for part in parts]
    assert [(KEY, Sums(orders=3).encode())] == parts[0].cells


async def test_who_fails_answers_for_no_partition(worker: TestServer, fetch: PartFetcher) -> None:
    url = str(worker.make_url("")).rstrip("/")
    assert [] == await fetch(url, "another-table", None, [0])
    assert [] == await fetch(f"{url}/garbage", "t", None, [0])
    assert [] == await fetch("http://127.0.0.1:1", "t", None, [0])
    stranger = PartFetcher("wrong")
    assert [] == await stranger(url, "t", None, [0])
    await stranger.close()


def gatherer(owners: Any, fetch: Any, seconds: float = 5.0) -> Gatherer:
    return Gatherer("http://own", {}, owners, fetch, 2, seconds)


async def one_part(url: str, table: str, question: Question, asked: Sequence[int]) -> list[Part]:
    if url == "http://slow":
        await asyncio.Event().wait()
    return [Part(n, progress=None) for n in asked]  # type: ignore[arg-type]


async def test_a_broker_that_does_not_answer_is_asked_once_more() -> None:
    asked: list[bool] = []

    async def owners(*, anew: bool = False) -> Owners:
        asked.append(anew)
        if not anew:
            raise OwnersUnknownError("moved")
        return {"log": {0: "http://a", 1: "http://b"}}

    gathered = await gatherer(owners, one_part)("t", "log", None)

    assert ([False, True], True) == (asked, gathered.complete)


async def test_who_is_slow_does_not_hold_back_what_others_answered() -> None:
    async def owners(*, anew: bool = False) -> Owners:
        return {"log": {0: "http://slow", 1: "http://quick"}}

    gathered = await gatherer(owners, one_part, seconds=0.1)("t", "log", None)

    assert ({1}, False) == (set(gathered.parts), gathered.complete)


async def test_a_worker_can_not_answer_for_partitions_it_was_not_asked_for() -> None:
    async def owners(*, anew: bool = False) -> Owners:
        return {"log": {0: "http://a"}}

    async def too_much(*question: Any) -> list[Part]:
        return await one_part(*question[:3], [0, 1])

    gathered = await gatherer(owners, too_much)("t", "log", None)

    assert {0} == set(gathered.parts)
