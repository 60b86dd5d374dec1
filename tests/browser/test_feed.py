"""The live feed as no real system has it: a thousand events a second, one that breaks off, and a
part of one. The server and the page are real; what it tells is made up here."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from app.console import FILES, PAGE, Console
from gateway.server import nobody_waits
from tests.browser.conftest import PATIENCE_MS, tab

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(120)]

EVENTS_A_SECOND = 1000
SECONDS = 4
# In one write, as when they queue up on the way.
BURST = 20
# Of the page and all that it shows, with room for a row more here and there.
NODES_MOST = 1500
# A frame's work of the page; two of them may follow one another where a listing comes in between.
CHANGES_A_FRAME = 2
HISTORY_POINTS = 300
# Watches from inside: frames, batches of changes, and tasks that hold the page up (over 50 ms).
WATCH = """
window.seen = {frames: 0, changes: 0, long: 0, summaries: new Set()};
const stat = () => document.querySelector('.stat dd')?.textContent;
new MutationObserver(() => { seen.changes += 1; seen.summaries.add(stat()); }).observe(
  document.getElementById('main'), {childList: true, subtree: true, characterData: true});
new PerformanceObserver(list => { seen.long += list.getEntries().length; }).observe(
  {type: 'longtask'});
const frame = () => { seen.frames += 1; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""
STEPS = [
    {"step": step, "direction": direction, "waiting": 7, "oldestSeconds": 0.4}
    for step, direction in (
        *(("order", "forward"), ("inventory", "forward"), ("payment", "forward")),
        *(("payment", "back"), ("inventory", "back")),
    )
]


@dataclass
class Feed:
    """A worker that says what it is told to.

    Attributes:
        told: events that were sent.
        streams: that are open.
        partial: whether what it says misses partitions.
        refuses: whether it takes no new stream, and ends those that are open.
        until: what windows were asked for `to`.
    """

    url: str = ""
    told: int = 0
    orders: int = 0
    fast: bool = False
    partial: bool = False
    refuses: bool = False
    until: list[str | None] = field(default_factory=list)
    streams: list[web.StreamResponse] = field(default_factory=list)

    def event(self) -> bytes:
        self.told += 1
        self.orders += 1
        return b"event: summary\ndata: %b\n\n" % json.dumps(self.summary()).encode()

    def summary(self) -> dict[str, Any]:
        covered = 4 if self.partial else 6
        return {
            "revenue": self.orders * 2.5,
            "orders": self.orders,
            "confirmed": self.orders,
            "cancelled": 0,
            "successRate": 1.0,
            "ordersPerMinute": 60_000.0,
            "cancelledBy": {},
            "sagaSeconds": {"p50": 0.2, "p99": 0.9},
            "partitions": {"covered": covered, "total": 6},
            **({"partial": True} if self.partial else {}),
        }

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.streams.append(response)
        while not self.refuses:
            burst = BURST if self.fast else 1
            await response.write(b"".join(self.event() for _ in range(burst)))
            await asyncio.sleep(burst / EVENTS_A_SECOND if self.fast else 0.05)
        return response

    async def flow(self, _: web.Request) -> web.Response:
        ended = {"confirmed": self.orders, "cancelled": 0, "cancelledBy": {}}
        return web.json_response({"steps": STEPS, "pending": 21, **ended})

    async def windows(self, request: web.Request) -> web.Response:
        self.until.append(request.query.get("to"))
        return web.json_response({"windows": [], "partitions": {"covered": 6, "total": 6}})


@asynccontextmanager
async def feeding() -> AsyncIterator[Feed]:
    feed, console = Feed(), Console()
    app = web.Application()
    app.router.add_get(PAGE, console.page)
    app.router.add_get(FILES, console.file)
    app.router.add_get("/analytics/stream", feed.stream)
    app.router.add_get("/analytics/windows", feed.windows)
    app.router.add_get("/sagas/flow", feed.flow)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    feed.url = f"http://127.0.0.1:{site.port}"
    try:
        yield feed
    finally:
        # The browser may be connecting just now.
        await nobody_waits(site)
        await runner.cleanup()


async def test_a_thousand_events_a_second_are_one_change_a_frame(browser: Browser) -> None:
    async with feeding() as feed, tab(browser, feed.url) as console:
        page = console.page
        await console.open("", "Overview")
        await expect(page.locator("#live")).to_have_text("Live")
        await page.get_by_text("Figures as a table").first.click()
        feed.fast = True
        before = feed.told
        await console.evaluate(WATCH)
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while feed.told - before < EVENTS_A_SECOND * SECONDS:
                await asyncio.sleep(0.05)
        told = feed.told - before
        seen = await console.evaluate("({...seen, summaries: seen.summaries.size})")
        nodes = await console.evaluate("document.querySelectorAll('*').length")

        assert seen["changes"] <= CHANGES_A_FRAME * seen["frames"]
        assert seen["changes"] < told / 4, "it draws what nobody can see"
        assert 1 < seen["summaries"], "it stands still"
        assert nodes < NODES_MOST
        # It still does what it is asked, and shows the newest.
        await page.get_by_role("link", name="Stock").click()
        await page.get_by_role("heading", level=1, name="Stock").wait_for()
        feed.fast = False
        await page.get_by_role("link", name="Overview").click()
        await expect(page.locator(".stat").nth(1)).to_contain_text(re.compile(r"\d,\d{3}"))


async def test_the_history_and_the_page_stay_as_large_as_they_are(browser: Browser) -> None:
    async with feeding() as feed, tab(browser, feed.url) as console:
        # A second passes whenever the page looks at the clock.
        await console.page.add_init_script("let now = 1.7e12; Date.now = () => (now += 1000);")
        feed.fast = True
        await console.open("", "Overview")
        await console.page.get_by_text("Figures as a table").first.click()
        points = "import('/console/live.js').then(m => m.live.history.at.length)"

        async def heard(events: int) -> int:
            before = feed.told
            async with asyncio.timeout(PATIENCE_MS / 1000):
                while feed.told - before < events or await console.evaluate(points) < 2:
                    await asyncio.sleep(0.05)
            return int(await console.evaluate("document.querySelectorAll('*').length"))

        nodes = await heard(2 * HISTORY_POINTS)
        assert HISTORY_POINTS == await console.evaluate(points)
        assert nodes == await heard(2 * HISTORY_POINTS)
        assert HISTORY_POINTS == await console.evaluate(points)


async def test_a_feed_that_breaks_off_is_said_and_comes_back(browser: Browser) -> None:
    async with feeding() as feed, tab(browser, feed.url) as console:
        live = console.page.locator("#live")
        await console.open("", "Overview")
        await expect(live).to_have_text("Live")

        feed.refuses = True
        # Each is shown for so long as the page waits: a busy machine may look at the next.
        await expect(live).to_contain_text(re.compile(r"Reconnecting: Attempt [2-9]"))
        await expect(live).to_have_attribute("data-state", "reconnecting")
        feed.refuses = False
        await expect(live).to_have_text("Live")
        assert 2 == len(feed.streams), "one at a time"


async def test_a_window_of_a_clock_that_is_years_ahead_does_not_hide_the_present(
    browser: Browser,
) -> None:
    async with feeding() as feed, tab(browser, feed.url) as console:
        await console.open("", "Overview")
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while len(feed.until) < 2:  # the charts' and the countries'
                await asyncio.sleep(0.05)
        for until in feed.until:
            assert until is not None
            ahead = datetime.fromisoformat(until) - datetime.now(UTC)
            assert timedelta(minutes=59) < ahead <= timedelta(hours=2)


async def test_a_part_is_said_to_be_one(browser: Browser) -> None:
    async with feeding() as feed, tab(browser, feed.url) as console:
        feed.partial = True
        await console.open("", "Overview")
        live = console.page.locator("#live")
        await expect(live).to_have_text("Partial: 4 of 6 partitions")
        feed.partial = False
        await expect(live).to_have_text("Live")
