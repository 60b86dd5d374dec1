"""Topics, groups, breakers and dead letters: what is so in Kafka, and what can be done."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, Stage, tab
from tests.browser.looking import cell, place, row, stat
from tests.faults import break_product, mend_product, send_nonsense
from tests.kafka import end_offsets, read_all

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]


async def test_topics_groups_and_breakers_show_what_is_so(stage: Stage, browser: Browser) -> None:
    assert stage.shop.gateway is not None
    await stage.shop.at_rest()
    topic = "order.events.v1"
    ends = await end_offsets(stage.shop.servers.kafka, topic)

    async with tab(browser, stage.url) as console:
        page = console.page
        await console.open("topics", "Topics")
        await expect(cell(row(page, re.compile(f"^{topic}$")), "Messages")).to_have_text(
            f"{sum(ends.values()):,}"
        )
        await page.get_by_role("link", name=topic, exact=True).click()
        await page.get_by_role("heading", level=1, name=topic).wait_for()
        await expect(page.locator("tbody").first.locator("tr")).to_have_count(50)
        await page.get_by_label("Partition").select_option("3")
        await page.get_by_label("From offset").fill("2")
        await page.get_by_role("button", name="Read").click()
        await expect(row(page, "3, 2")).to_be_visible()
        await row(page, "3, 2").get_by_text("Show").click()
        await expect(row(page, "3, 2").locator("pre").first).to_contain_text("orderId")

        await console.open("groups", "Groups")
        await expect(stat(page, "Lag of all")).to_contain_text("0")
        await expect(stat(page, "Workers")).to_contain_text("2")
        order_group = page.get_by_role("region", name="order", exact=True)
        await order_group.get_by_text("Members and partitions").click()
        committed = order_group.locator('[data-label="Committed"]')
        mine = [end for tp, end in ends.items() if tp.partition == 0]
        await expect(committed.filter(has_text=re.compile(f"^{mine[0]:,}$")).first).to_be_visible()

        await console.open("health", "Health")
        for worker in stage.shop.workers.values():
            line = row(page, worker.url)
            await expect(line).to_contain_text("Closed")
            await expect(line).to_contain_text("Live")


async def test_a_poisoned_order_is_seen_and_replayed_and_ends_once(
    stage: Stage, browser: Browser
) -> None:
    with stage.shop.database() as database:
        await break_product(database, "POST")
        broken = True
        try:
            poisoned = await place(stage, ("POST", 1))
            await send_nonsense(stage.shop.servers.kafka, "order.events.v1")
            async with tab(browser, stage.url) as console:
                page = console.page
                await console.open("dead-letters", "Dead letters")
                line = page.get_by_role("row").filter(has_text=poisoned)
                await expect(line).to_contain_text("Unprocessable")
                await line.get_by_text("Record", exact=True).click()
                await expect(line.locator("pre").first).to_contain_text(poisoned)

                await mend_product(database, "POST")
                broken = False
                await line.get_by_role("checkbox").check()
                await page.get_by_role("button", name="Replay 1 chosen").click()
                dialog = page.get_by_role("dialog")
                await dialog.get_by_role("button", name="Back").click()
                await expect(line).to_be_visible()
                await page.get_by_role("button", name="Replay 1 chosen").click()
                await dialog.get_by_role("button", name="Replay").click()
                await expect(page.get_by_text("1 replayed.").first).to_be_visible()
                await expect(line).to_have_count(0)

                await page.get_by_role("button", name="Replayed").click()
                await expect(line).to_be_visible()
                await page.get_by_role("button", name="Open", exact=True).click()
                await discard_all(page, "order.events.v1")
        finally:
            if broken:
                await mend_product(database, "POST")
        ((_, end),) = (await stage.shop.all_end([poisoned], PATIENCE_MS / 1000)).items()
        await stage.shop.at_rest()
        records = await read_all(stage.shop.servers.kafka, "order.events.v1")
        ends = [
            record
            for record in records
            if record.key == poisoned.encode()
            and dict(record.headers).get("ce_type") in (b"OrderConfirmed", b"OrderCancelled")
        ]
        assert 1 == len({dict(record.headers)["ce_id"] for record in ends}), end
        told = await database.notifications.count_documents({"orderId": poisoned})
        assert 1 == told, "the customer is told once"


async def discard_all(page: Page, topic: str) -> None:
    await page.get_by_label("Topic").select_option(topic)
    await page.get_by_role("button", name="Discard all of the topic").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Why").fill("sent by mistake")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
