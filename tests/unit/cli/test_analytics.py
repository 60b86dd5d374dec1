"""`faust -A app analytics` over a worker that answers as ours do, and over none."""

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from app.cli.analytics import Shown, analytics
from app.cli.console import FAILED, UNREACHABLE, CommandError

SUMMARY = {
    "revenue": 1234.5,
    "orders": 12,
    "confirmed": 9,
    "cancelled": 3,
    "successRate": 0.75,
    "ordersPerMinute": 2.4,
    "cancelledBy": {"OUT_OF_STOCK": 3},
    "sagaSeconds": {"p50": 0.012, "p99": None},
    "customers": 7,
    "lateEvents": {"60": 1, "61": 2, "3600": 1},
}
WINDOW = {
    "start": "2026-03-01T12:00:00Z",
    "key": "France",
    "orders": 12,
    "successRate": None,
    "revenue": 1234.5,
    "final": False,
}
PRODUCT = {"productId": "cup", "quantity": 3, "revenue": 7.5}
WORKER: dict[str, Any] = {
    "/analytics": SUMMARY,
    "/analytics/windows": {"windows": [WINDOW]},
    "/analytics/top": {"window": {"start": "2026-03-01T00:00:00Z"}, "products": [PRODUCT]},
}


@pytest.fixture
async def worker() -> AsyncIterator[dict[str, Any]]:
    """What it answers, by path, and `url`; `asked` gathers the queries."""
    answers: dict[str, Any] = {**WORKER, "status": 200, "asked": {}}

    async def handle(request: web.Request) -> web.Response:
        answers["asked"][request.path] = dict(request.query)
        return web.json_response(answers[request.path], status=answers["status"])

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with TestServer(app) as server:
        answers["url"] = str(server.make_url("/"))
        yield answers


async def printed(worker: dict[str, Any], **changes: Any) -> str:
    out = io.StringIO()
    shown = {"url": worker["url"], "size": "hour", "by": "country", "limit": 20, "top": 5}
    await analytics(Console(file=out, width=120), Shown(**{**shown, **changes}))
    return out.getvalue()


async def test_totals_windows_and_products_are_shown(worker: dict[str, Any]) -> None:
    page = await printed(worker)

    for words in (
        "1,234.50",
        "75.0%",
        "cancelled, OUT_OF_STOCK",
        "0.012 s / -",
        "Windows of an hour by country, the last 1 rows",
        "late for a minute",
        "late for an hour",
        "late for 61 s",
        "2026-03-01 12:00 …",
        "France",
        "Top products of 2026-03-01",
        "cup",
    ):
        assert words in page
    asked = worker["asked"]["/analytics/windows"]
    # Not those of a clock that is years ahead.
    until = datetime.fromisoformat(asked.pop("to")) - datetime.now(UTC)
    assert timedelta(minutes=59) < until <= timedelta(hours=2)
    assert {"size": "3600", "by": "country", "limit": "20"} == asked
    assert {"n": "5"} == worker["asked"]["/analytics/top"]


async def test_what_customers_write_is_shown_as_it_is(worker: dict[str, Any]) -> None:
    """Not as the markup of a terminal, of which it may be wrong."""
    bad = "[/x] [bold]"
    worker["/analytics"] = SUMMARY | {"cancelledBy": {bad: 1}}
    worker["/analytics/windows"] = {"windows": [WINDOW | {"key": bad}]}
    worker["/analytics/top"] = WORKER["/analytics/top"] | {
        "products": [PRODUCT | {"productId": bad}]
    }

    assert 3 == (await printed(worker, by="product")).count(bad)


async def test_a_shop_without_orders_is_shown_too(worker: dict[str, Any]) -> None:
    worker["/analytics/windows"] = {"windows": []}
    worker["/analytics/top"] = {"window": None, "products": []}

    assert "Windows of a day, the last 0" in await printed(worker, size="day", by="none")


async def test_an_answer_that_is_not_all_ends_the_command_with_its_words(
    worker: dict[str, Any],
) -> None:
    worker["/analytics"] = {"detail": "Only 3 of 6 partitions can be read now."}
    worker["status"] = 503

    with pytest.raises(CommandError, match="503 Only 3 of 6") as error:
        await printed(worker)
    assert FAILED == error.value.status


async def test_where_nobody_answers_the_command_says_so(worker: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match=r"127\.0\.0\.1:1") as error:
        await printed(worker, url="http://127.0.0.1:1")
    assert UNREACHABLE == error.value.status
