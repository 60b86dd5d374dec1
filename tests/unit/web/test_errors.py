"""Whatever goes wrong is told as problem+json, and every answer says whose it is."""

import asyncio
import gzip
import logging
from typing import Any

import pytest

from app.metrics.registry import REGISTRY
from tests.unit.web.conftest import BODY, World

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def test_an_unknown_path_is_a_problem(world: World) -> None:
    response = await world.get("/nowhere", X_Trace_Id="t")

    problem = await response.json(content_type="application/problem+json")
    assert {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this path.",
        "instance": "/nowhere",
        "traceId": response.headers["X-Trace-Id"],
    } == problem


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/orders", {"GET", "HEAD", "POST"}),
        ("HEAD", "/orders/x/cancel", {"POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_is_not_taken_says_which_are(
    world: World, method: str, path: str, allowed: set[str]
) -> None:
    response = await world.client.request(method, path)

    assert 405 == response.status
    assert "application/problem+json" == response.content_type
    assert allowed == set(response.headers["Allow"].replace(" ", "").split(","))


async def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    response = await world.post({**BODY, "country": "x" * 30_000})

    assert 413 == response.status
    assert "application/problem+json" == response.content_type


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "no-such-coding"])
async def test_a_packed_body_is_refused_without_unpacking_it(world: World, coding: str) -> None:
    response = await world.client.post(
        "/orders",
        data=gzip.compress(b" " * 10_000_000),
        headers={"Content-Encoding": coding, "Content-Type": "application/json"},
    )

    assert 415 == response.status
    assert "Content-Encoding" in (await response.json())["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=latin-1", ""])
async def test_a_body_that_is_not_said_to_be_json_is_refused(world: World, kind: str) -> None:
    response = await world.client.post("/orders", data=b"{}", headers={"Content-Type": kind})

    assert 415 == response.status
    assert "application/json" == response.headers["Accept-Post"]


async def test_a_fault_of_ours_tells_nothing_of_the_inside(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a secret")

    world.database.reached = broken  # type: ignore[method-assign,assignment]
    response = await world.get("/inventory")

    assert 500 == response.status
    assert "secret" not in await response.text()
    assert "a secret" in caplog.text


async def test_a_client_that_leaves_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    port = world.client.port
    with caplog.at_level(logging.WARNING):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert 200 == (await world.get("/livez")).status

    assert [] == caplog.records


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Transfer-Encoding: chunked", b"zz\r\n"),
    ],
)
async def test_a_body_that_can_not_be_read_is_a_bad_request(
    world: World, framing: str, body: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client.port)
    head = (
        f"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    status = await reader.readline()
    writer.close()

    assert b"400" in status


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Trace-Id": "mine-1"}, "mine-1"),
        ({"X-Trace-Id": "mine-1", "traceparent": TRACEPARENT}, "mine-1"),
        ({"X-Trace-Id": "bad id", "traceparent": TRACEPARENT}, TRACE),
        ({"traceparent": TRACEPARENT}, TRACE),
    ],
)
async def test_every_answer_carries_its_trace_and_instance(
    world: World, headers: dict[str, str], expected: str
) -> None:
    for path in ("/livez", "/nowhere", "/metrics"):
        response = await world.client.get(path, headers=headers)

        assert expected == response.headers["X-Trace-Id"]
        assert "worker-7" == response.headers["X-Instance-Id"]


async def test_a_trace_is_made_up_where_none_is_given(world: World) -> None:
    response = await world.post()

    event = world.log.events[0]
    assert event.traceparent is not None
    assert response.headers["X-Trace-Id"] == event.traceparent.split("-")[1]


async def test_requests_are_counted_by_the_routes_template(world: World) -> None:
    def count(path: str, status: str) -> float:
        labels = {"service": "worker", "method": "GET", "path": path, "status": status}
        return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0

    before = count("/orders/{orderId}", "404"), count("unmatched", "404")
    await world.get("/orders/one")
    await world.get("/orders/two")
    await world.get("/some/path")

    assert before[0] + 2 == count("/orders/{orderId}", "404")
    assert before[1] + 1 == count("unmatched", "404")
