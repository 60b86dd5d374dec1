"""`POST /api/pay` before a worker that is told how each order ends."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.integration.gateway.servers import Answer, gateway, upstream

pytestmark = pytest.mark.timeout(60)

BODY = {"userId": "alice", "items": [{"productId": "p", "quantity": 1, "price": 4.5}]}
ID = "825c73c6-9624-5263-ae7d-10ab655ee73f"
JSON = {"Content-Type": "application/json"}
LOCATION = f"/api/orders/{ID}"
CHARGED = ["OrderPlaced", "InventoryReserved", "PaymentProcessed", "OrderConfirmed"]
REFUSED = ["OrderPlaced", "InventoryReserved", "PaymentFailed", "InventoryReleased"]


def order(status: str, *events: str, reason: str | None = None) -> dict[str, Any]:
    return {
        "orderId": ID,
        "status": status,
        "total": 4.5,
        "history": [{"event": event, "at": "2026-01-31T12:00:00Z"} for event in events],
        **({"reason": reason} if reason else {}),
    }


def ends(document: dict[str, Any]) -> Answer:
    """A worker that accepts every order, and then has it so."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            accepted = {"orderId": ID, "status": "PENDING", "total": 4.5}
            return web.json_response(accepted, status=202, headers={"Location": LOCATION})
        return web.json_response(document)

    return answer


@pytest.mark.parametrize("body", [BODY, {"orderId": ID}])
async def test_a_paid_order_is_answered_with_its_payment(body: dict[str, Any]) -> None:
    async with (
        upstream(answer=ends(order("CONFIRMED", *CHARGED))) as worker,
        gateway(worker, gateway_timeout_seconds=70.0) as front,
        front.client.post("/api/pay", json=body, headers=JSON) as answer,
    ):
        assert (200, LOCATION) == (answer.status, answer.headers["Location"])
        assert {
            "orderId": ID,
            "status": "CONFIRMED",
            "payment": {"amount": 4.5, "status": "CHARGED"},
        } == await answer.json()
        asked = worker.seen[-1]
        assert ("GET", f"/orders/{ID}", "wait=30") == (
            asked.method,
            asked.target,
            asked.headers["Prefer"],
        )
        assert (2 if body is BODY else 1) == len(worker.seen)


@pytest.mark.parametrize(
    ("reason", "events", "status"),
    [
        ("PAYMENT_FAILED", REFUSED, 402),
        ("OUT_OF_STOCK", ["OrderPlaced", "InventoryRejected"], 409),
        ("OUT_OF_STOCK", ["OrderPlaced", "PaymentProcessed", "PaymentRefunded"], 409),
    ],
)
async def test_an_order_that_is_not_paid_is_a_problem_with_its_reason(
    reason: str, events: list[str], status: int
) -> None:
    ended = order("CANCELLED", *events, reason=reason)
    async with (
        upstream(answer=ends(ended)) as worker,
        gateway(worker) as front,
        front.client.post("/api/pay", json=BODY, headers=JSON) as answer,
    ):
        assert (status, "application/problem+json") == (answer.status, answer.content_type)
        problem = await answer.json()
        assert (ID, reason) == (problem["orderId"], problem["reason"])
        assert reason in problem["detail"]


@pytest.mark.parametrize("body", [BODY, {"orderId": ID}])
async def test_an_order_that_takes_longer_is_answered_202_and_where_to_look(
    body: dict[str, Any],
) -> None:
    async with (
        upstream(answer=ends(order("PENDING", "OrderPlaced"))) as worker,
        gateway(worker) as front,
        front.client.post("/api/pay", json=body, headers={"Prefer": "wait=3", **JSON}) as answer,
    ):
        assert (202, LOCATION) == (answer.status, answer.headers["Location"])
        assert "wait=3" == answer.headers["Preference-Applied"]
        assert {"orderId": ID, "status": "PENDING", "payment": None} == await answer.json()
        assert "wait=3" == worker.seen[-1].headers["Prefer"]


async def test_who_would_not_wait_is_answered_at_once_and_nobody_asks_for_the_end() -> None:
    async with (
        upstream(answer=ends(order("CONFIRMED", *CHARGED))) as worker,
        gateway(worker) as front,
        front.client.post(
            "/api/pay", json=BODY, headers={"Prefer": "respond-async", **JSON}
        ) as answer,
    ):
        assert (202, "PENDING") == (answer.status, (await answer.json())["status"])
        assert "respond-async" == answer.headers["Preference-Applied"]
        assert ["POST"] == [seen.method for seen in worker.seen]
        assert "Prefer" not in worker.seen[0].headers


async def test_the_wait_ends_before_the_clients_own_time_limit() -> None:
    async with (
        upstream(answer=ends(order("PENDING", "OrderPlaced"))) as worker,
        gateway(worker) as front,
        front.client.post(
            "/api/pay", json=BODY, headers={"X-Request-Timeout": "6", **JSON}
        ) as answer,
    ):
        assert 202 == answer.status
        assert worker.seen[-1].headers["Prefer"] in {f"wait={seconds}" for seconds in range(1, 6)}


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"{", 400), (b'{"userId":"a"}', 422), (b'{"orderId":"x","userId":"a"}', 422), (b"[]", 422)],
)
async def test_a_bad_order_is_judged_in_the_workers_own_words(sent: bytes, status: int) -> None:
    words = {"type": "urn:orderflow:problem:invalid-fields", "status": status, "detail": "So."}

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(words, status=status, content_type="application/problem+json")

    headers = {"Content-Type": "application/json", "Idempotency-Key": "k-1"}
    async with (
        upstream(answer=answer) as worker,
        gateway(worker) as front,
        front.client.post("/api/pay", data=sent, headers=headers) as got,
    ):
        assert (status, "application/problem+json") == (got.status, got.content_type)
        assert words == await got.json()
        (seen,) = worker.seen
        assert ("POST", "/orders", sent) == (seen.method, seen.target, seen.body)
        assert ("application/json", "k-1") == (
            seen.headers["Content-Type"],
            seen.headers["Idempotency-Key"],
        )


async def test_an_unknown_order_is_not_found_and_none_is_placed() -> None:
    async def unknown(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": 404, "detail": "There is no order x/y."}, status=404)

    async with upstream(answer=unknown) as worker, gateway(worker) as front:
        async with front.client.post("/api/pay", json={"orderId": "x/y"}, headers=JSON) as answer:
            assert (404, "There is no order x/y.") == (
                answer.status,
                (await answer.json())["detail"],
            )
        assert [("GET", "/orders/x%2Fy")] == [(s.method, s.target) for s in worker.seen]
        assert (
            422 == (await front.client.post("/api/pay", json={"orderId": 5}, headers=JSON)).status
        )


@pytest.mark.parametrize("status", [503, 404, 500])
async def test_an_accepted_order_is_no_error_whatever_becomes_of_the_wait(status: int) -> None:
    accepts = ends({})

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return await accepts(request)
        return web.json_response({"detail": "Too many wait."}, status=status)

    async with (
        upstream(answer=answer) as worker,
        gateway(worker) as front,
        front.client.post("/api/pay", json=BODY, headers=JSON) as got,
    ):
        assert (202, LOCATION) == (got.status, got.headers["Location"])


async def test_an_order_whose_worker_dies_under_the_wait_is_asked_for_elsewhere() -> None:
    def dying(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    accepts, waited = ends(order("CONFIRMED", *CHARGED)), 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal waited
        waited += request.method == "GET"
        return dying(request) if waited == 1 else await accepts(request)

    async with (
        upstream(answer=answer) as first,
        upstream(answer=answer) as second,
        gateway(first, second) as front,
        front.client.post("/api/pay", json=BODY, headers=JSON) as got,
    ):
        assert (200, "CONFIRMED") == (got.status, (await got.json())["status"])
        posts = [seen for seen in first.seen + second.seen if seen.method == "POST"]
        assert 1 == len(posts)


async def test_a_replayed_order_says_so() -> None:
    async def replayed(request: web.Request) -> web.StreamResponse:
        response = await ends(order("CONFIRMED", *CHARGED))(request)
        if request.method == "POST":
            response.headers["Idempotency-Replayed"] = "true"
        return response

    async with (
        upstream(answer=replayed) as worker,
        gateway(worker) as front,
        front.client.post("/api/pay", json=BODY, headers=JSON) as answer,
    ):
        assert (200, "true") == (answer.status, answer.headers["Idempotency-Replayed"])


async def test_paying_has_one_method_and_a_bound() -> None:
    async with upstream() as worker, gateway(worker, body_max_bytes=2000) as front:
        async with front.client.get("/api/pay") as answer:
            assert (405, "POST") == (answer.status, answer.headers["Allow"])
        large = json.dumps({"userId": "x" * 3000})
        async with front.client.post("/api/pay", data=large) as answer:
            assert 413 == answer.status
        assert [] == worker.seen
