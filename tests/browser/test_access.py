"""Who uses it, and how: by keys alone, with a token, and with text that means harm."""

import re

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from app.identity import Role
from tests.browser.conftest import PATIENCE_MS, Stage, Tab, tab
from tests.browser.looking import row, stat
from tests.shop import order, post

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]

# Text that would run if it were taken for markup, in each of the ways that are common.
HOSTILE = '<img src=x onerror="window.hacked=1">"\'><script>window.hacked=2</script>'
MOST_TABS = 40


async def test_everything_is_reached_and_done_by_keys_alone(stage: Stage, browser: Browser) -> None:
    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("", "Overview")
        await page.keyboard.press("Tab")
        assert "Skip to the page" == await focused(console)
        await page.keyboard.press("Enter")
        assert "main" == await console.evaluate("document.activeElement.id")
        await page.reload()
        await page.get_by_role("heading", level=1, name="Overview").wait_for()

        await tab_to(console, "Orders")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", level=1, name="Orders").wait_for()
        assert "Orders" == await focused(console), "the new page's heading has the focus"
        await tab_to(console, "status")
        await page.keyboard.type("Confirmed")
        await tab_to(console, "Filter")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile("status=CONFIRMED"))
        assert "Filter" == await focused(console), "the focus stays at what was used"
        await expect(page.locator("tbody tr").first).to_contain_text("Confirmed")

        await console.open("stock", "Stock")
        await tab_to(console, "Set level of 20725")
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_be_visible()
        for _ in range(8):
            await page.keyboard.press("Tab")
            # The browser's own bar is the page's body here.
            inside = "document.activeElement.matches('body, dialog, dialog *')"
            assert await console.evaluate(inside), "the focus leaves the dialog"
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        assert "Set level of 20725" == await focused(console)


async def focused(console: Tab) -> str:
    """What has the focus, by the name that it has."""
    return str(
        await console.evaluate(
            "(e => (e.getAttribute('aria-label') || e.name || e.textContent || '').trim())"
            "(document.activeElement)"
        )
    )


async def tab_to(console: Tab, name: str) -> None:
    """Press Tab until what is named so has the focus, which can be seen."""
    for _ in range(MOST_TABS):
        await console.page.keyboard.press("Tab")
        if await focused(console) == name:
            style = await console.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert "none" != style, f"{name} does not show that it has the focus"
            return
    raise AssertionError(f"no Tab leads to {name}")


async def test_text_that_looks_like_markup_is_text(stage: Stage, browser: Browser) -> None:
    async with aiohttp.ClientSession() as session:
        body = order((HOSTILE[:60], 1), user=HOSTILE)
        status, answer = await post(session, stage.shop.url, {**body, "country": HOSTILE[:60]})
        assert 202 == status, answer
    await stage.shop.all_end([answer["orderId"]], PATIENCE_MS / 1000)

    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("orders", "Orders")
        await expect(row(page, answer["orderId"])).to_contain_text(HOSTILE)
        await page.get_by_role("link", name=HOSTILE).click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.get_by_label("User").first).to_have_value(HOSTILE)
        await page.get_by_role("link", name=answer["orderId"]).click()
        await expect(stat(page, "User")).to_contain_text(HOSTILE)
        await console.open(f"orders/{'<img src=x onerror=window.hacked=3>'}")
        await expect(page.get_by_role("alert")).to_be_visible()
        await console.open("topics/order.events.v1", "order.events.v1")
        await expect(page.get_by_text("Show").first).to_be_visible()
        for summary in (await page.get_by_text("Show").all())[:5]:
            await summary.click()
        assert await console.evaluate("window.hacked === undefined")
        assert 1 == await page.locator("img").count(), "more than the brand's"


async def test_where_tokens_are_asked_for_it_asks_for_one(stage: Stage, browser: Browser) -> None:
    async with tab(browser, stage.closed.url) as console:
        page = console.page
        await page.goto(stage.closed.url)
        dialog = page.get_by_role("dialog", name="Sign in")
        await dialog.get_by_role("button", name="Not now").click()
        await expect(page.get_by_role("alert")).to_contain_text("Sign in to see this (401)")
        await expect(page.locator("#live")).to_contain_text("Not signed in")

        await sign_in(console, stage.token(Role.CUSTOMER))
        await expect(page.get_by_role("alert")).to_contain_text("Not for your role (403)")
        await expect(page.locator("#live")).to_contain_text("Not allowed")
        await page.get_by_role("button", name="Sign in as somebody else").click()
        await dialog.get_by_label("Token").fill(stage.token(Role.OPERATOR))
        await dialog.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.locator("#live")).to_have_text("Live")
        await expect(page.get_by_role("alert")).to_have_count(0)

        await console.open("stock", "Stock")
        await page.get_by_role("button", name="Set level of 20725").click()
        await page.get_by_role("dialog").get_by_role("button", name="Set level").click()
        await expect(page.get_by_role("alert")).to_contain_text("Not for your role (403)")
        await page.keyboard.press("Escape")
        kept = await console.evaluate("[localStorage, sessionStorage].map(s => s.length)")
        assert [0, 1] == kept, "the token is kept in the tab alone"

        await console.evaluate("sessionStorage.setItem('orderflow.token', 'expired')")
        await expect(dialog).to_be_visible()
        await dialog.get_by_label("Token").fill(stage.token(Role.ADMIN))
        await dialog.get_by_role("button", name="Sign in", exact=True).click()
        await expect(dialog).to_have_count(0)
        await expect(row(page, "20725")).to_be_visible()


async def sign_in(console: Tab, token: str) -> None:
    await console.page.locator("#session").click()
    dialog = console.page.get_by_role("dialog", name="Sign in")
    await dialog.get_by_label("Token").fill(token)
    await dialog.get_by_role("button", name="Sign in", exact=True).click()
