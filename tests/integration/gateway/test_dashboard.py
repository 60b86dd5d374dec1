"""`GET /api/dashboard` before workers that answer late, badly, or not at all."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.integration.gateway.servers import Answer, free_port_url, gateway, upstream

pytestmark = pytest.mark.timeout(60)

USERS = [{"userId": "alice"}]
ORDERS = [{"orderId": "o-1"}, {"orderId": "o-2"}]
ANALYTICS = {"orders": 2, "revenue": 12.5}
BODIES: dict[str, Any] = {
    "/users": {"users": USERS, "nextCursor": None},
    "/orders": {"orders": ORDERS, "nextCursor": "more"},
    "/analytics": ANALYTICS,
}
# Long before the test's own limit, and long after a worker that answers at all has answered.
PART_SECONDS = 1.0


async def shop(request: web.Request) -> web.StreamResponse:
    return web.json_response(BODIES[request.path])


def but(path: str, answer: Callable[[web.Request], web.StreamResponse]) -> Answer:
    """A worker that answers `path` otherwise."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(request) if request.path == path else await shop(request)

    return handle


def refusal(status: int, detail: str = "Not for you.") -> web.Response:
    problem = {"type": "about:blank", "status": status, "detail": detail}
    return web.json_response(problem, status=status, content_type="application/problem+json")


async def test_all_parts_are_asked_for_at_once_and_shown_in_one_answer() -> None:
    all_asked = asyncio.Barrier(3)

    async def together(request: web.Request) -> web.StreamResponse:
        await all_asked.wait()
        return await shop(request)

    async with upstream(answer=together) as worker, gateway(worker) as front:
        headers = {"X-Trace-Id": "t-1", "If-None-Match": '"x"', "Accept-Encoding": "gzip"}
        async with front.client.get("/api/dashboard", headers=headers) as answer:
            assert 200 == answer.status
            assert {
                "users": USERS,
                "orders": ORDERS,
                "analytics": ANALYTICS,
                "partial": False,
                "missing": [],
            } == await answer.json()
        assert {"t-1"} == {seen.headers["X-Trace-Id"] for seen in worker.seen}
        for seen in worker.seen:
            assert not {"If-None-Match", "Accept-Encoding"} & set(seen.headers)


async def test_a_part_that_is_late_is_missing_and_the_others_are_shown() -> None:
    async def late(request: web.Request) -> web.StreamResponse:
        if request.path == "/analytics":
            await asyncio.Event().wait()
        return await shop(request)

    async with (
        upstream(answer=late) as worker,
        gateway(worker, dashboard_part_seconds=PART_SECONDS) as front,
        front.client.get("/api/dashboard") as answer,
    ):
        assert 200 == answer.status
        body = await answer.json()
        assert (USERS, ORDERS, None, True) == (
            body["users"],
            body["orders"],
            body["analytics"],
            body["partial"],
        )
        (missing,) = body["missing"]
        assert ("analytics", 504) == (missing["part"], missing["status"])


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (lambda _: refusal(403), 403, "403 Forbidden: Not for you."),
        (lambda _: refusal(503, "The store is away."), 503, "The store is away."),
        (lambda _: web.Response(text="{"), 502, "502 Bad Gateway"),
        (lambda _: web.json_response([]), 502, "502 Bad Gateway"),
        (lambda _: web.json_response({"else": 1}), 502, "502 Bad Gateway"),
        (lambda _: web.Response(status=599), 599, "599"),
    ],
)
async def test_a_part_that_is_refused_or_unreadable_is_missing_with_its_reason(
    answer: Callable[[web.Request], web.StreamResponse], status: int, reason: str
) -> None:
    async with (
        upstream(answer=but("/users", answer)) as worker,
        gateway(worker) as front,
        front.client.get("/api/dashboard") as got,
    ):
        assert 200 == got.status
        body = await got.json()
        assert (None, ORDERS, ANALYTICS) == (body["users"], body["orders"], body["analytics"])
        (missing,) = body["missing"]
        assert ("users", status) == (missing["part"], missing["status"])
        assert reason in missing["reason"]


async def test_without_any_part_the_answer_is_503_and_says_when_to_come_back() -> None:
    async with (
        gateway(free_port_url()) as front,
        front.client.get("/api/dashboard") as answer,
    ):
        assert (503, "application/problem+json") == (answer.status, answer.content_type)
        assert int(answer.headers["Retry-After"]) >= 1
        detail = (await answer.json())["detail"]
        assert all(part in detail for part in ("users", "orders", "analytics"))


async def test_who_may_see_no_part_is_refused_and_not_asked_to_come_back() -> None:
    async def refused(_request: web.Request) -> web.StreamResponse:
        return refusal(403)

    async with (
        upstream(answer=refused) as worker,
        gateway(worker) as front,
        front.client.get("/api/dashboard") as answer,
    ):
        assert 403 == answer.status
        assert "Retry-After" not in answer.headers


async def test_each_worker_learns_who_asks_and_each_part_is_as_they_may_have_it() -> None:
    secrets = {"auth_secret": "s" * 32, "cluster_token": "c" * 16, "auth_development": "on"}
    async with (
        upstream(answer=but("/users", lambda _: refusal(403))) as worker,
        gateway(worker, auth="on", **secrets) as front,
    ):
        async with front.client.post("/api/token", json={"userId": "alice"}) as answer:
            bearer = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        async with front.client.get("/api/dashboard", headers=bearer) as answer:
            body = await answer.json()
            assert (200, ORDERS) == (answer.status, body["orders"])
            assert [("users", 403)] == [(one["part"], one["status"]) for one in body["missing"]]
        assert [("alice", "customer")] * 3 == [
            (seen.headers["X-Auth-User"], seen.headers["X-Auth-Role"]) for seen in worker.seen
        ]
        assert 401 == (await front.client.get("/api/dashboard")).status
        # It holds everybody else up, so it is for operators.
        assert 403 == (await front.client.get("/api/blocking?ms=1", headers=bearer)).status
        assert 200 == (await front.client.get("/api/non-blocking?ms=1", headers=bearer)).status
