"""Chromium, and a system for it to look at: two workers, gateways with and without AUTH, nginx."""

import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response, async_playwright, expect

from app.identity import Principal, Role
from app.identity.tokens import Issuer
from infra.local.testing import LocalServers, Process, start_gateway
from tests.faults import send_nonsense
from tests.hostile import front
from tests.shop import Shop, order, post_all

Theme = Literal["light", "dark"]
# As long as a busy machine takes to do anything at all.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
ENDS_SECONDS = 90.0
DESKTOP, PHONE = (1280, 800), (390, 844)
TOKEN_SECONDS = 600
# What stock decides and what the provider does, so that each outcome is there.
SIMULATION = {"PAYMENT_FAILURE_RATE": "0.08", "PAYMENT_SEED": "7"}
STOCK = {
    **dict.fromkeys(("22423", "47566", "84879", "85099B", "85123A", "POST"), 5000),
    "20725": 6,
    "23084": 0,
}
COUNTRIES = ("United Kingdom",) * 6 + (
    "Germany",
    "Germany",
    "France",
    "EIRE",
    "Netherlands",
    "Spain",
)
SEEDED = 160
# The first was placed so long ago: windows of many minutes, and none so old that it is late.
SPREAD = timedelta(minutes=50)
# One so often asks for what there is none of.
OUT_OF_STOCK_EVERY = 16


@dataclass
class Tab:
    """A page of the browser, and what went wrong in it."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    async def open(self, path: str = "", heading: str | None = None) -> None:
        """Go to a page of the console, and wait until it is there."""
        await self.page.goto(f"{self.base}/#/{path}")
        if heading is not None:
            await self.page.get_by_role("heading", level=1, name=heading).wait_for()

    async def evaluate(self, expression: str) -> Any:
        return await self.page.evaluate(expression)


@asynccontextmanager
async def tab(
    browser: Browser, base: str, theme: Theme = "light", size: tuple[int, int] = DESKTOP
) -> AsyncIterator[Tab]:
    """A tab of its own; in the end nothing went wrong in it, and it asked nobody but its origin."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion="reduce",
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    found = Tab(page, base)

    def heard(response: Response) -> None:
        if urlsplit(response.url).netloc != urlsplit(base).netloc:
            found.faults.append(f"asked {response.url}")

    def said(message: Any) -> None:
        # An answer with an error is an answer: the page shows it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            found.faults.append(message.text)

    page.on("response", heard)
    page.on("console", said)
    page.on("pageerror", lambda error: found.faults.append(str(error)))
    try:
        yield found
        assert [] == found.faults
    finally:
        await context.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "`make test` installs chromium"
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(
            executable_path=program,
            args=["--disable-dev-shm-usage", "--disable-gpu", "--font-render-hinting=none"],
        )
        yield found
        await found.close()


@dataclass
class Stage:
    """The system that is looked at.

    Attributes:
        gateway: that asks nobody for a token.
        closed: another, with AUTH=on.
        seeded: orders that have ended.
    """

    shop: Shop
    nginx: Process
    closed: Process
    seeded: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.nginx.url

    def token(self, role: Role, user: str = "olga", seconds: int = TOKEN_SECONDS) -> str:
        secret = self.shop.servers.environment()["AUTH_SECRET"]
        issuer = Issuer(secret, "orderflow", "orderflow", seconds)
        return issuer.issue(Principal(user, role), time.time())

    async def seed(self) -> None:
        """Orders of the last hour, the oldest first, as time passes."""
        chance = random.Random(7)
        begin, every = datetime.now(UTC) - SPREAD, SPREAD / SEEDED
        products = [product for product, units in STOCK.items() if units > SEEDED]
        bodies = []
        for n in range(SEEDED):
            some = chance.sample(products, chance.randint(1, 3))
            items = [(product, chance.randint(1, 9)) for product in some]
            if n % OUT_OF_STOCK_EVERY == 0:
                items.append(("23084", 1))
            body = order(*items, price=chance.choice((0.85, 1.65, 2.55, 4.95, 12.75)))
            body["userId"] = f"customer-{chance.randint(12346, 12400)}"
            body["country"] = chance.choice(COUNTRIES)
            body["placedAt"] = (begin + n * every).isoformat()
            bodies.append(body)
        # Not all at once: what is late by more than the grace would be in no window.
        self.seeded = await post_all(self.shop.url, bodies, concurrency=8)
        await self.shop.all_end(self.seeded, ENDS_SECONDS)
        # Somebody has sent what is no event; each group gives it up.
        await send_nonsense(self.shop.servers.kafka, "order.events.v1")


@pytest.fixture(scope="package")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("console")
    with LocalServers(folder) as servers:
        shop = Shop(servers, env=SIMULATION)
        try:
            shop.start("worker-1", "worker-2")
            assert shop.gateway is not None
            workers = list(shop.workers.values())
            closed = start_gateway(
                servers, workers, "gateway-2", env={"AUTH": "on", "SHUTDOWN_DELAY_SECONDS": "0"}
            )
            with closed, front(folder / "nginx", shop.gateway) as nginx:
                yield Stage(shop, nginx, closed)
        finally:
            shop.stop()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stage(started: Stage) -> Stage:
    await started.shop.stock(STOCK)
    await started.seed()
    return started
