"""The live summary: one question for all who listen, and nobody holds it up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.web.analytics.feed import Feed, Report
from app.web.middleware import answered
from app.web.problems import unavailable

QUICK = 0.01


class Summaries:
    """Counts the questions."""

    def __init__(self, *, size: int = 0) -> None:
        self.asked = 0
        self.away = False
        self.filling = "x" * size

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise unavailable("moving", partitions={"covered": 0, "total": 6})
        return {"n": self.asked, "filling": self.filling}


@asynccontextmanager
async def serving(feed: Feed) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application(middlewares=[answered], handler_args={"handler_cancellation": True})
    app.router.add_get("/stream", feed.get)

    async def close(_: Any) -> None:
        await feed.close()

    app.on_shutdown.append(close)
    async with TestClient(TestServer(app)) as client:
        yield client


async def events(stream: Any, count: int) -> list[tuple[str, Any]]:
    found, name = [], ""
    async for line in stream.content:
        text = line.decode().rstrip()
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            found.append((name, json.loads(text.removeprefix("data: "))))
        if len(found) == count:
            break
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(QUICK)


async def test_all_listeners_hear_the_same_summaries_of_one_question_each() -> None:
    summaries = Summaries()
    async with serving(Feed(summaries, every=0.05)) as client:
        streams = [await client.get("/stream") for _ in range(3)]
        heard = await asyncio.gather(*(events(stream, 4) for stream in streams))
        asked = summaries.asked
        for stream in streams:
            stream.close()
    assert ("text/event-stream", "no") == (
        streams[0].content_type,
        streams[0].headers["X-Accel-Buffering"],
    )
    numbers = [[event["n"] for _, event in each] for each in heard]
    assert all(each == list(range(each[0], each[0] + 4)) for each in numbers)
    assert asked <= max(each[-1] for each in numbers) + 2


async def test_nothing_is_asked_while_nobody_listens() -> None:
    summaries = Summaries()
    async with serving(Feed(summaries, every=QUICK)) as client:
        assert 0 == summaries.asked
        stream = await client.get("/stream")
        await events(stream, 2)
        stream.close()
        last = -1

        def still() -> bool:
            nonlocal last
            before, last = last, summaries.asked
            return before == last

        async with asyncio.timeout(60):
            while not still():
                await asyncio.sleep(20 * QUICK)


async def test_while_partitions_move_listeners_are_told_and_stay() -> None:
    summaries = Summaries()
    summaries.away = True
    async with serving(Feed(summaries, every=QUICK)) as client:
        stream = await client.get("/stream")
        ((name, told),) = await events(stream, 1)
        summaries.away = False
        later = await events(stream, 30)
        stream.close()
    assert ("unavailable", 503) == (name, told["status"])
    assert {"covered": 0, "total": 6} == told["partitions"]
    assert "summary" == later[-1][0]


async def test_one_client_too_many_is_told_to_come_back() -> None:
    async with serving(Feed(Summaries(), every=QUICK, most=1)) as client:
        first = await client.get("/stream")
        refused = await client.get("/stream")
        assert (503, True) == (refused.status, "Retry-After" in refused.headers)
        first.close()

        async def welcome() -> bool:
            async with client.get("/stream") as again:
                return again.status == 200

        async with asyncio.timeout(60):
            while not await welcome():
                await asyncio.sleep(QUICK)


async def test_a_silent_feed_sends_heartbeats() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(Feed(never, heartbeat=QUICK)) as client:
        stream = await client.get("/stream")
        lines = [await stream.content.readline() for _ in range(6)]
        stream.close()
    assert [b": still here\n"] * 2 == [line for line in lines if line.startswith(b":")]


async def test_a_client_that_does_not_read_is_dropped() -> None:
    feed = Feed(Summaries(size=1 << 20), every=QUICK, stalled=0.2, most=1)
    async with serving(feed) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: feed.clients == 1)
        await until(lambda: feed.clients == 0)
        writer.close()
        del reader


async def test_when_the_worker_ends_its_streams_end() -> None:
    feed = Feed(Summaries(), every=QUICK)
    async with serving(feed) as client:
        stream = await client.get("/stream")
        await events(stream, 1)
        await feed.close()
        async with asyncio.timeout(60):
            await stream.read()
        assert 503 == (await client.get("/stream")).status


async def run_until(report: Report, condition: Callable[[], bool]) -> None:
    await report.start(None)
    try:
        await until(condition)
    finally:
        await report.stop(None)


async def test_the_report_is_one_line_of_json_from_the_worker_whose_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    summaries = Summaries()
    await run_until(Report(summaries, lambda: True, every=QUICK), lambda: summaries.asked > 2)
    lines = [r for r in caplog.records if r.message == "analytics"]
    assert {"n": 1, "filling": ""} == vars(lines[0])["data"]["analytics"]


async def test_others_report_nothing_and_a_report_that_fails_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    summaries, looks = Summaries(), []

    def not_mine() -> bool:
        looks.append(1)
        return False

    await run_until(Report(summaries, not_mine, every=QUICK), lambda: len(looks) > 2)
    assert 0 == summaries.asked
    summaries.away = True
    await run_until(Report(summaries, lambda: True, every=QUICK), lambda: summaries.asked > 2)
    assert {"no analytics now: moving"} == {record.message for record in caplog.records}
