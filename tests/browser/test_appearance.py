"""Each page in light and dark, at a desk and on a phone: for everybody to use, and to look at."""

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.async_playwright import Axe
from PIL import Image
from playwright.async_api import Browser, Page

from tests.browser.conftest import (
    COUNTRIES,
    DESKTOP,
    PHONE,
    SEEDED,
    STOCK,
    Stage,
    Tab,
    Theme,
    tab,
)
from tests.browser.looking import get
from tests.shop import order, post_all

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]

# `SCREENSHOTS=1` writes the pictures of docs/console.md; else the pages are only looked at.
SCREENSHOTS = os.environ.get("SCREENSHOTS") == "1"
IMAGES = Path(__file__).parents[2] / "docs" / "images" / "console"
PICTURE_MOST_BYTES = 150_000
# Of the palette that a picture is reduced to; beyond it nobody sees a difference.
COLOURS = 256
# Of orders for a picture: how long, and how many a second on average.
LIVELY_SECONDS = 35.0
LIVELY_ORDERS = 12
LEFT_SECONDS = 5.0
SERIOUS = ("serious", "critical")
# What a page looks like is told by its first screens.
SCREENS_MOST = 2
LOOKS: Sequence[tuple[Theme, str, tuple[int, int]]] = [
    ("light", "desktop", DESKTOP),
    ("dark", "desktop", DESKTOP),
    ("light", "phone", PHONE),
    ("dark", "phone", PHONE),
]
# The last has the colours of the second and the layout of the third: it is for the pictures.
LOOKED_AT = LOOKS if SCREENSHOTS else LOOKS[:-1]


class Shown(NamedTuple):
    """A page of the console, its heading, and what is there once it has its data."""

    name: str
    path: str
    heading: str
    there: str


async def pages(stage: Stage) -> list[Shown]:
    orders = (await get(stage.shop.url, "/orders?limit=200"))["orders"]
    # One whose saga went forward and back shows the most.
    shown = next((o for o in orders if o.get("reason") == "PAYMENT_FAILED"), orders[0])
    order_id = shown["orderId"]
    return [
        Shown("overview", "", "Overview", ".flow .step.end.good"),
        Shown("orders", "orders", "Orders", "tbody tr .id"),
        Shown("order", f"orders/{order_id}", f"Order {order_id[:8]}", ".timeline li"),
        Shown("stock", "stock", "Stock", "tbody tr button"),
        Shown("dead-letters", "dead-letters", "Dead letters", "tbody tr .id"),
        Shown("topics", "topics", "Topics", "tbody tr .id"),
        Shown("topic", "topics/order.events.v1", "order.events.v1", "tbody tr .id"),
        Shown("groups", "groups", "Groups", ".groups .card"),
        Shown("health", "health", "Health", "tbody tr .badge"),
    ]


@pytest.mark.parametrize(
    ("theme", "name", "size"), LOOKED_AT, ids=[f"{theme}-{name}" for theme, name, _ in LOOKED_AT]
)
async def test_every_page_can_be_used_by_everybody(
    stage: Stage, browser: Browser, theme: Theme, name: str, size: tuple[int, int]
) -> None:
    axe = Axe()
    found: list[str] = []
    async with tab(browser, stage.url, theme, size) as console:
        for shown in await pages(stage):
            await console.open(shown.path, shown.heading)
            await console.page.locator(shown.there).first.wait_for()
            if shown.name == "overview":
                await console.page.locator(".chart canvas").nth(2).wait_for()
            found += await faults(console, axe, shown.name)
            if SCREENSHOTS:
                path = IMAGES / f"{shown.name}-{name}-{theme}.png"
                async with lively(stage) if shown.name == "overview" else nullcontext():
                    await picture(console.page, path, size)
    assert [] == found


@asynccontextmanager
async def lively(stage: Stage) -> AsyncIterator[None]:
    """Entered after half a minute with orders, while they go on, so that a picture shows some."""
    going = asyncio.create_task(orders_for(stage, LIVELY_SECONDS))
    await asyncio.sleep(LIVELY_SECONDS - LEFT_SECONDS)
    yield
    await going


async def orders_for(stage: Stage, seconds: float) -> None:
    """Orders, now more and now fewer."""
    products = [product for product, units in STOCK.items() if units > SEEDED]
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        while (passed := time.monotonic() - began) < seconds:
            rate = LIVELY_ORDERS * (1.2 + math.sin(passed / 4))
            body = order((random.choice(products), random.randint(1, 4)), price=4.95)
            country = {"country": random.choice(COUNTRIES)}
            tasks.create_task(post_all(stage.shop.url, [body | country]))
            await asyncio.sleep(1 / rate)


async def faults(console: Tab, axe: Axe, name: str) -> list[str]:
    """What axe finds that is serious, and whether the page is wider than the screen."""
    results = await axe.run(console.page, options={"resultTypes": ["violations"]})
    found = [
        f"{name}: {each['id']}: {each['help']}: {[node['target'] for node in each['nodes']][:3]}"
        for each in results.response["violations"]
        if each["impact"] in SERIOUS
    ]
    wide = await console.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    return found if wide[0] <= wide[1] else [*found, f"{name}: {wide[0]} wide on {wide[1]}"]


async def picture(page: Page, path: Path, size: tuple[int, int]) -> None:
    """Write a picture of the page, from its top on, of few colours."""
    width, height = size
    full = int(await page.evaluate("document.documentElement.scrollHeight"))
    shot = await page.screenshot(
        full_page=True,
        clip={"x": 0, "y": 0, "width": width, "height": min(full, SCREENS_MOST * height)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(BytesIO(shot)) as image:
        reduced = image.convert("RGB").quantize(
            COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
        reduced.save(path, optimize=True)


async def test_the_pictures_of_the_documentation_are_there_and_small(stage: Stage) -> None:
    wanted = {
        f"{shown.name}-{name}-{theme}.png"
        for shown in await pages(stage)
        for theme, name, _ in LOOKS
    }

    assert wanted == {path.name for path in IMAGES.glob("*.png")}
    assert [] == [
        path.name for path in IMAGES.glob("*.png") if path.stat().st_size > PICTURE_MOST_BYTES
    ]
    text = (IMAGES.parents[1] / "console.md").read_text()
    assert [] == sorted(name for name in wanted if f"images/console/{name}" not in text)
