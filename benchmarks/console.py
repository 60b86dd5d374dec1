"""The console while orders flow: `python -m benchmarks.console --rate 1000 --seconds 30`.

Starts a system of its own (two workers, a gateway), opens the overview in Chromium on the same
machine, and puts orders into the order service's topic at an even rate, as the workers' web side
does. Prints what the page did meanwhile: frames, tasks over 50 ms, elements, memory, and how long
it took to follow a click.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from aiokafka import AIOKafkaProducer
from playwright.async_api import Page, async_playwright

from app.codec import encode
from app.events import Event, Item, OrderPlaced, timestamp
from app.resources import Resources
from app.settings import Settings
from app.stores.repositories import STOCK
from app.stores.stock import StockStore
from infra.local.testing import LocalServers, start_gateway, start_worker

PRODUCTS = [f"item-{n}" for n in range(500)]
PLENTY = 100_000_000
COUNTRIES = ("United Kingdom", "Germany", "France", "EIRE", "Spain")
# Ten times a second, as orders would come.
TICKS = 10
START_MS = 60_000
PAGES = ("Orders", "Stock", "Groups", "Overview")
WATCH = """
window.seen = {frames: 0, drawn: 0, long: 0, longMs: 0, longest: 0, began: performance.now()};
new MutationObserver(() => { seen.drawn += 1; }).observe(document.getElementById('main'),
  {childList: true, subtree: true, characterData: true});
new PerformanceObserver(list => list.getEntries().forEach(entry => {
  seen.long += 1;
  seen.longMs += entry.duration;
  seen.longest = Math.max(seen.longest, entry.duration);
})).observe({type: 'longtask'});
const frame = () => { seen.frames += 1; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""
LOOK = """({...seen, seconds: (performance.now() - seen.began) / 1000,
  elements: document.querySelectorAll('*').length,
  megabytes: performance.memory.usedJSHeapSize / 1048576})"""
FOLLOW = """name => new Promise(done => {
  const began = performance.now();
  [...document.querySelectorAll('nav a')].find(a => a.textContent === name).click();
  const look = () => document.querySelector('h1').textContent === name
    ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look);
  look();
})"""


async def measure(rate: int, seconds: float) -> None:
    """Start all, send, look, and print."""
    with (
        tempfile.TemporaryDirectory(prefix="orderflow-console-") as folder,
        LocalServers(Path(folder), lasting=True) as servers,
    ):
        await _stock(servers)
        with (
            start_worker(servers, "worker-1") as one,
            start_worker(servers, "worker-2") as other,
            start_gateway(servers, [one, other]) as gateway,
        ):
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"))
                page = await browser.new_page(viewport={"width": 1280, "height": 800})
                await page.goto(gateway.url)
                live = page.locator("#live[data-state=live]")
                await live.wait_for(timeout=START_MS)
                await page.evaluate(WATCH)
                before, began = await _summary(gateway.url), time.monotonic()
                sent, clicks = await asyncio.gather(
                    _send(servers.kafka, rate, seconds), _click(page, seconds)
                )
                after, passed = await _summary(gateway.url), time.monotonic() - began
                seen = await page.evaluate(LOOK)
                await browser.close()
    _say(sent, before, after, passed, seen, clicks)


async def _stock(servers: LocalServers) -> None:
    settings = Settings(
        kafka_bootstrap_servers=servers.kafka,
        mongodb_url=servers.mongodb_url,
        redis_url=servers.redis_url,
    )
    resources = Resources.connect(settings)
    await StockStore(resources.database[STOCK]).put(dict.fromkeys(PRODUCTS, PLENTY))
    await resources.close()


async def _summary(url: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/analytics?allow=partial") as answer,
    ):
        found: dict[str, Any] = await answer.json()
        return found


async def _send(kafka: str, rate: int, seconds: float) -> int:
    """Orders at an even rate; how many."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=20, acks="all")
    await producer.start()
    began, sent = time.monotonic(), 0
    try:
        for tick in range(round(seconds * TICKS)):
            for _ in range(rate // TICKS):
                record = _order(sent)
                await producer.send(record.topic, record.value, record.key, headers=record.headers)
                sent += 1
            await asyncio.sleep(max(0.0, began + (tick + 1) / TICKS - time.monotonic()))
        await producer.flush()
    finally:
        await producer.stop()
    return sent


def _order(number: int) -> Any:
    now = datetime.now(UTC)
    item = Item(product_id=PRODUCTS[number % len(PRODUCTS)], quantity=1, price=250)
    placed = OrderPlaced(
        order_id=str(uuid4()),
        user_id=f"user-{number % 997}",
        items=(item,),
        total=250,
        country=COUNTRIES[number % len(COUNTRIES)],
        placed_at=now,
        fingerprint="",
    )
    return encode(Event.first(placed, source="web", at=timestamp(now)))


async def _click(page: Page, seconds: float) -> list[float]:
    """Go from page to page now and then; for each click, ms until the page's heading is drawn."""
    found: list[float] = []
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        await asyncio.sleep(seconds / 12)
        found += [await page.evaluate(FOLLOW, name) for name in PAGES]
    return found


def _say(
    sent: int,
    before: dict[str, Any],
    after: dict[str, Any],
    passed: float,
    seen: dict[str, float],
    clicks: list[float],
) -> None:
    counted = after["orders"] - before["orders"]
    ended = after["confirmed"] - before["confirmed"]
    busy = seen["longMs"] / 10 / seen["seconds"]
    median = sorted(clicks)[len(clicks) // 2]
    print(
        f"sent {sent:,} orders in {passed:.0f} s ({sent / passed:,.0f} a second), "
        f"{counted:,} were counted meanwhile and {ended:,} confirmed\n"
        f"frames: {seen['frames'] / seen['seconds']:.0f} a second; changes of the page: "
        f"{seen['drawn'] / seen['seconds']:.1f} a second\n"
        f"tasks over 50 ms: {seen['long']:.0f}, {busy:.1f} % of the time, the longest "
        f"{seen['longest']:.0f} ms\n"
        f"a click until the next page's heading is drawn: median {median:.0f} ms, longest "
        f"{max(clicks):.0f} ms, of {len(clicks)}\n"
        f"elements: {seen['elements']:,.0f}; memory: {seen['megabytes']:.0f} MiB"
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="orders a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    asyncio.run(measure(given.rate, given.seconds))


if __name__ == "__main__":
    main()
