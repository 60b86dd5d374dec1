"""Orders and stock: found, shown, placed, cancelled and set."""

import uuid
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import PATIENCE_MS, STOCK, Stage, tab
from tests.browser.looking import cell, get, place, row, stat

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]


async def test_an_order_is_found_by_its_id_with_all_that_happened_to_it(
    stage: Stage, browser: Browser
) -> None:
    trace = uuid.uuid4().hex
    placed = await place(stage, ("47566", 2), X_Trace_Id=trace)
    ended = await stage.shop.all_end([placed], PATIENCE_MS / 1000)
    told = await get(stage.shop.url, f"/orders/{placed}")

    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("orders", "Orders")
        await page.get_by_label("Order id").fill("nonsense")
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_text("An order's id is a UUID")).to_be_visible()
        await page.get_by_label("Order id").fill(placed.upper())
        await page.get_by_role("button", name="Find").click()
        await page.get_by_role("heading", level=1, name=f"Order {placed[:8]}").wait_for()

        events = page.locator(".timeline strong")
        await expect(events).to_have_text([entry["event"] for entry in told["history"]])
        await expect(stat(page, "Status")).to_contain_text(ended[placed][0].capitalize())
        await expect(page.locator(".steps li")).to_have_count(2)
        await expect(page.get_by_text(trace)).to_be_visible()
        paid = page.locator("section").filter(has=page.get_by_role("heading", name="Payment"))
        await expect(paid.get_by_text("2.50")).to_be_visible()
        assert page.url.endswith(f"#/orders/{placed}"), "its address leads to it"


async def test_what_was_undone_is_shown(stage: Stage, browser: Browser) -> None:
    orders = (await get(stage.shop.url, "/orders?status=CANCELLED&limit=200"))["orders"]
    failed = next(each for each in orders if each["reason"] == "PAYMENT_FAILED")

    async with tab(browser, stage.url) as console:
        await console.open("orders?status=CANCELLED", "Orders")
        await expect(row(console.page, failed["orderId"])).to_contain_text("Payment failed")
        await row(console.page, failed["orderId"]).get_by_role("link").first.click()
        steps = console.page.locator(".steps li")
        await expect(steps.first).to_contain_text("Undone")
        await expect(steps.last).to_contain_text("Failed")
        await expect(row(console.page, "Inventory")).to_contain_text("Done")


async def test_an_order_is_placed_and_cancelled_and_the_lists_are_filtered(
    stage: Stage, browser: Browser
) -> None:
    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("orders", "Orders")
        await page.get_by_text("Place a test order").click()
        form = page.get_by_role("form", name="Place a test order")
        await form.get_by_label("User").fill("console-user")
        await form.get_by_label("Product").fill("85123A")
        await form.get_by_label("Quantity").fill("3")
        await form.get_by_role("button", name="Place order").click()
        await expect(form.get_by_text("Accepted:")).to_be_visible()
        placed = await form.get_by_role("link").inner_text()

        await page.get_by_role("search", name="Filter").get_by_label("User").fill("console-user")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(row(page, placed)).to_contain_text("7.50")
        await page.get_by_label("Status").select_option("PENDING")
        await stage.shop.all_end([placed], PATIENCE_MS / 1000)
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_text("No order is like that")).to_be_visible()

        # Faster than a click an order ends; what the system says then is told.
        async with aiohttp.ClientSession() as session:
            url = f"{stage.shop.url}/orders/{placed}/cancel"
            async with session.post(url) as answer:
                detail = (await answer.json())["detail"]
        await page.route("**/orders/*", pretend_pending)
        await console.open(f"orders/{placed}")
        await page.get_by_role("button", name="Cancel order").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel order").click()
        await expect(page.get_by_role("alert")).to_contain_text(detail)
        await page.unroute_all(behavior="ignoreErrors")


async def pretend_pending(route: Any) -> None:
    """The order as it was a moment before it ended."""
    response = await route.fetch()
    await route.fulfill(response=response, json={**await response.json(), "status": "PENDING"})


async def test_stock_is_searched_and_set(stage: Stage, browser: Browser) -> None:
    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("stock", "Stock")
        await expect(page.locator("tbody tr")).to_have_count(len(STOCK))
        await page.get_by_label("Product id, or how it begins").fill("20")
        await page.get_by_role("button", name="Find").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("button", name="Set level of 20725").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Available").fill("77")
        await dialog.get_by_role("button", name="Set level").click()

        await expect(cell(row(page, "20725"), "Available")).to_have_text("77")
        told = await get(stage.shop.url, "/inventory/20725")
        assert 77 == told["available"]
        await page.get_by_role("button", name="Set level of 20725").click()
        await expect(dialog.get_by_role("row").last).to_contain_text("77")
