"""Asks a worker, and the broker about its group, again and again while another worker ends."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from app.topics import ORDER_WINDOWS
from app.web.analytics.owners import GroupOwners, OwnersUnknownError, canonical
from benchmarks.takeover.figures import DAY_SECONDS, Look, Sums, Takeover, cell, minor
from benchmarks.windows.topic import PARTITIONS

# Short beside a rebalance; an answer over six partitions costs some 10 ms.
LOOK_SECONDS = 0.1
# Above `ANALYTICS_QUERY_SECONDS`, after which a worker answers without the partitions that are not
# there.
ANSWER_SECONDS = 10.0
# As many cells as an answer may have.
PAGE = 10_000
READ_BACK = "table_recovered_records_total"


class Worker:
    """A worker as its clients see it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def look(self, began: float) -> Look:
        """What it answers about all windows now, partitions missing or not."""
        document: Mapping[str, Any] = {}
        with suppress(aiohttp.ClientError, TimeoutError, ValueError):
            document = await self._ask("/analytics", allow="partial")
        return Look.of(time.monotonic() - began, document)

    async def days(self) -> dict[str, int]:
        """Revenue by day and country; of partitions that are missing, none."""
        found: dict[str, int] = {}
        place: dict[str, str] = {"from": "0"}
        while place:
            document = await self._ask(
                "/analytics/windows", size=str(DAY_SECONDS), by="country", limit=str(PAGE), **place
            )
            for window in document.get("windows", ()):
                start = int(datetime.fromisoformat(window["start"]).timestamp())
                found[cell(start, window["key"])] = minor(window["revenue"])
            place = {
                name: document[member]
                for name, member in (("from", "next"), ("fromKey", "nextKey"))
                if member in document
            }
        return found

    async def read_back(self) -> int:
        """Changelog records that it has read back since its start."""
        async with self._session.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == READ_BACK
        )

    async def _ask(self, path: str, **query: str) -> Mapping[str, Any]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with self._session.get(self.url + path, params=query, timeout=timeout) as answer:
            document: Mapping[str, Any] = await answer.json(content_type=None)
            return document


async def owns_all(owners: GroupOwners, url: str) -> bool:
    """Whether the group has given this worker all partitions of the orders' windows."""
    try:
        found = (await owners()).get(ORDER_WINDOWS.changelog, {})
    except OwnersUnknownError:
        return False
    return list(found.values()) == [canonical(url)] * PARTITIONS


async def watch(
    worker: Worker, owners: GroupOwners, began: float, sums: tuple[Sums, Sums], seconds: float
) -> Takeover:
    """Look until it owns all partitions and answers for them with all that came meanwhile.

    Args:
        began: when the other worker was told to end, by the monotonic clock.
        sums: what is right without and with what comes meanwhile.
        seconds: after which it is given up.
    """
    looks: list[Look] = []

    async def until_given() -> float:
        while not await owns_all(owners, worker.url):  # noqa: ASYNC110 (the broker tells nobody)
            await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    giving = asyncio.create_task(until_given())
    try:
        while time.monotonic() - began < seconds:
            looks.append(await worker.look(began))
            if giving.done() and looks[-1].whole and looks[-1].sums == sums[1]:
                break
            await asyncio.sleep(LOOK_SECONDS)
        given = giving.result() if giving.done() else None
    finally:
        giving.cancel()
    return Takeover(looks, given, *sums)
