"""The overview, at each address and on a phone: its chart moves, its figures are the API's."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.browser.conftest import PATIENCE_MS, PHONE, Stage, tab
from tests.browser.looking import get, row, stat
from tests.kafka import eventually
from tests.shop import order, post_all

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]


async def test_worker_gateway_and_nginx_serve_it(stage: Stage, browser: Browser) -> None:
    assert stage.shop.gateway is not None
    for base in (stage.shop.workers["worker-1"].url, stage.shop.gateway.url, stage.url):
        async with tab(browser, base) as console:
            await console.open("", "Overview")
            await expect(console.page.get_by_text("Live", exact=True)).to_be_visible()
            await expect(stat(console.page, "Orders")).to_contain_text(re.compile(r"^\d"))


async def test_the_chart_moves_with_the_orders_that_are_placed(
    stage: Stage, browser: Browser
) -> None:
    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("", "Overview")
        now = page.locator("figure").filter(has_text="Orders a second")
        await now.get_by_text("Figures as a table").click()
        before = (await get(stage.shop.url, "/analytics"))["orders"]
        drawn = await pixels(now)

        placed = await post_all(stage.shop.url, [order(("85123A", 1), user="ann")] * 60)
        await stage.shop.all_end(placed, PATIENCE_MS / 1000)

        told = await settled(stage, before + 60)
        await expect(stat(page, "Orders")).to_contain_text(f"{before + 60:,}")
        await expect(stat(page, "Revenue")).to_contain_text(f"{told['revenue']:,.2f}")
        rates = now.get_by_role("row").locator('[data-label="Placed"]')
        await expect(rates.filter(has_text=re.compile("[1-9]")).first).to_be_visible()
        assert drawn != await pixels(now), "the chart stands still"
        flow = page.get_by_role("list", name="Steps of the saga")
        await expect(flow.get_by_role("listitem").last).to_contain_text(f"{told['confirmed']:,}")
        reasons = page.get_by_role("list", name="Cancelled, by reason")
        for reason, count in told["cancelledBy"].items():
            line = reasons.get_by_role("listitem").filter(
                has_text=re.compile(reason.replace("_", " "), re.IGNORECASE)
            )
            await expect(line).to_contain_text(f"{count:,}")


async def settled(stage: Stage, orders: int) -> dict[str, Any]:
    """The summary once so many orders are counted, and so are their ends."""
    found: dict[str, Any] = {}

    async def counted() -> bool:
        found.update(await get(stage.shop.url, "/analytics"))
        return bool(orders == found["orders"] == found["confirmed"] + found["cancelled"])

    await eventually(counted, PATIENCE_MS / 1000, f"{orders} orders are counted", every=0.3)
    return found


async def pixels(figure: Locator) -> str:
    return str(await figure.locator("canvas").evaluate("canvas => canvas.toDataURL()"))


async def test_windows_are_those_of_the_api_whatever_their_size(
    stage: Stage, browser: Browser
) -> None:
    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("", "Overview")
        revenue = page.locator("figure").filter(has=page.get_by_role("heading", name="Revenue"))
        for size, name in ((86400, "Day"), (3600, "Hour")):
            await page.get_by_role("button", name=name).click()
            if size == 86400:
                await revenue.get_by_text("Figures as a table").click()
            windows = (await get(stage.shop.url, f"/analytics/windows?size={size}"))["windows"]
            await expect(revenue.locator("tbody tr")).to_have_count(len(windows))
            await expect(revenue.locator("tbody tr").first).to_contain_text(
                f"{windows[-1]['revenue']:,.2f}"
            )
        top = await get(stage.shop.url, "/analytics/top?metric=revenue&size=3600&n=10")
        await page.get_by_role("button", name="Products").click()
        best = top["products"][0]
        await expect(row(page, best["productId"])).to_contain_text(f"{best['revenue']:,.2f}")
        await page.get_by_role("button", name="Countries").click()
        await expect(row(page, "United Kingdom")).to_be_visible()


async def test_on_a_phone_the_pages_are_behind_a_menu(stage: Stage, browser: Browser) -> None:
    async with tab(browser, stage.url, size=PHONE) as console:
        page = console.page
        await console.open("", "Overview")
        menu = page.get_by_role("button", name="Menu")
        await expect(menu).to_have_attribute("aria-expanded", "false")
        await menu.click()
        await page.get_by_role("link", name="Groups").click()
        await page.get_by_role("heading", level=1, name="Groups").wait_for()
        await expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
