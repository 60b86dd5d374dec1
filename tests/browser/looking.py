"""How tests look at the console, and what they ask the API beside it."""

import re
from typing import Any

import aiohttp
from playwright.async_api import Locator, Page

from tests.browser.conftest import Stage
from tests.shop import order, post


def row(page: Page, name: str | re.Pattern[str]) -> Locator:
    """The row of a table that is named so."""
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def cell(line: Locator, label: str) -> Locator:
    return line.locator(f'[data-label="{label}"]')


def stat(page: Page, name: str) -> Locator:
    """A figure at the head of a page."""
    return page.locator(".stat").filter(has=page.get_by_text(name, exact=True)).locator("dd")


async def get(url: str, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as answer:
        assert 200 == answer.status, await answer.text()
        return await answer.json()


async def place(stage: Stage, *items: tuple[str, int], user: str = "alice", **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session:
        status, answer = await post(
            session, stage.shop.url, order(*items, user=user), headers=named
        )
    assert 202 == status, answer
    return str(answer["orderId"])
