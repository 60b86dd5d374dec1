import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.integration.gateway.servers import (
    LOOPBACK,
    SELDOM_SECONDS,
    Raw,
    Upstream,
    free_port_url,
    gateway,
    raw_upstream,
    upstream,
)

pytestmark = pytest.mark.timeout(30)

# Short to wait for, and long enough that a busy machine has done what is quick by then.
LITTLE_SECONDS = 1.0
IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]
KEY = {"Idempotency-Key": "k1"}


@contextlib.asynccontextmanager
async def breaking_and_sound(reply: bytes = b"") -> AsyncIterator[tuple[Raw, Upstream]]:
    async with raw_upstream(reply) as breaking, upstream() as sound:
        yield breaking, sound


@pytest.mark.parametrize("method", [*IDEMPOTENT, "POST", "PATCH"])
async def test_a_request_that_was_never_sent_goes_to_another_worker(method: str) -> None:
    async with (
        upstream() as gone,
        upstream() as sound,
        gateway(gone, sound, gateway_health_interval_seconds=SELDOM_SECONDS) as front,
    ):
        await gone.stop()
        for _ in range(2):
            async with front.client.request(method, "/api/orders", data=b"body") as answer:
                assert 200 == answer.status
        assert [b"body", b"body"] == [seen.body for seen in sound.seen]
        # The failure marked it down at once, long before the next check.
        assert [False, True] == [worker.live for worker in front.workers]


async def test_a_worker_that_does_not_accept_in_time_is_passed_over() -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind((LOOPBACK, 0))
        full.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        stuck = f"http://{LOOPBACK}:{full.getsockname()[1]}"
        async with (
            upstream() as sound,
            gateway(
                stuck,
                sound,
                gateway_health_interval_seconds=SELDOM_SECONDS,
                gateway_connect_timeout_seconds=LITTLE_SECONDS,
            ) as front,
        ):
            front.workers[0].mark_live()
            for _ in range(2):
                async with front.client.post("/api/orders") as answer:
                    assert 200 == answer.status
            assert not front.workers[0].live


@pytest.mark.parametrize("method", IDEMPOTENT)
async def test_an_idempotent_request_whose_connection_broke_goes_to_another_worker(
    method: str,
) -> None:
    async with breaking_and_sound() as (breaking, sound), gateway(breaking, sound) as front:
        async with front.client.request(method, "/api/orders", data=b"body") as answer:
            assert 200 == answer.status
        assert (1, 1) == (len(breaking.seen), len(sound.seen))
        assert b"body" == sound.seen[0].body


async def test_a_post_with_an_idempotency_key_whose_connection_broke_goes_to_another_worker() -> (
    None
):
    async with breaking_and_sound() as (breaking, sound), gateway(breaking, sound) as front:
        async with front.client.post("/api/orders", data=b"body", headers=KEY) as answer:
            assert 200 == answer.status
        assert (1, 1) == (len(breaking.seen), len(sound.seen))
        assert ("k1", b"body") == (sound.seen[0].headers["Idempotency-Key"], sound.seen[0].body)


async def test_a_post_whose_own_claim_is_in_its_way_is_a_503_and_no_conflict_of_the_clients() -> (
    None
):
    async def under_way(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=409, headers={"Retry-After": "3"})

    async with breaking_and_sound() as (breaking, sound), gateway(breaking, sound) as front:
        sound.answer = under_way
        async with front.client.post("/api/orders", data=b"body", headers=KEY) as answer:
            assert (503, "3") == (answer.status, answer.headers["Retry-After"])
            assert "same Idempotency-Key" in (await answer.json(content_type=None))["detail"]
        # A post that did not break off is told what the worker says.
        front.workers[0].mark_down("for the test")
        async with front.client.post("/api/orders", data=b"body", headers=KEY) as answer:
            assert 409 == answer.status


@pytest.mark.parametrize(
    ("method", "headers"), [("POST", {}), ("PATCH", {}), ("PATCH", KEY)], ids=str
)
async def test_any_other_request_that_may_have_been_done_is_never_sent_again(
    method: str, headers: dict[str, str]
) -> None:
    async with breaking_and_sound() as (breaking, sound), gateway(breaking, sound) as front:
        async with front.client.request(method, "/api/orders", headers=headers) as answer:
            assert 502 == answer.status
            assert "application/problem+json" == answer.content_type
        assert (1, 0) == (len(breaking.seen), len(sound.seen))


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_request_whose_answer_had_begun_is_not_sent_again(method: str) -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Type: text/pl"
    async with breaking_and_sound(begun) as (breaking, sound), gateway(breaking, sound) as front:
        async with front.client.request(method, "/api/orders") as answer:
            assert 502 == answer.status
        assert (1, 0) == (len(breaking.seen), len(sound.seen))


async def test_each_worker_is_tried_once_at_most() -> None:
    async with raw_upstream() as one, raw_upstream() as two, gateway(one, two) as front:
        async with front.client.get("/api/orders") as answer:
            assert 502 == answer.status
        assert (1, 1) == (len(one.seen), len(two.seen))


async def test_a_kept_connection_that_breaks_counts_as_a_try_too() -> None:
    asked = 0

    async def once(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 1:
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    async with upstream(answer=once) as worker, gateway(worker) as front:
        assert 200 == (await front.client.get("/api/orders")).status
        assert 502 == (await front.client.get("/api/orders")).status
        assert 2 == asked


async def test_without_a_live_worker_the_client_is_told_when_to_come_back() -> None:
    async with (
        gateway(free_port_url(), gateway_health_interval_seconds=2.5) as front,
        front.client.post("/api/orders", data=b"{}") as answer,
    ):
        assert 503 == answer.status
        assert "3" == answer.headers["Retry-After"]
        assert "application/problem+json" == answer.content_type
        assert "not sent" in (await answer.json(content_type=None))["detail"]


async def test_workers_that_all_turn_out_unreachable_are_a_503_since_nothing_was_sent() -> None:
    async with (
        upstream() as one,
        upstream() as two,
        gateway(one, two, gateway_health_interval_seconds=SELDOM_SECONDS) as front,
    ):
        await one.stop()
        await two.stop()
        async with front.client.post("/api/orders") as answer:
            assert 503 == answer.status


async def test_a_request_that_broke_and_then_found_nobody_is_a_502_since_it_may_be_done() -> None:
    async with (
        raw_upstream() as breaking,
        upstream() as gone,
        gateway(breaking, gone, gateway_health_interval_seconds=SELDOM_SECONDS) as front,
    ):
        await gone.stop()
        async with front.client.put("/api/inventory/1") as answer:
            assert 502 == answer.status


async def test_a_worker_that_does_not_answer_in_time_is_a_504_and_no_other_is_asked() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with (
        upstream(answer=never) as slow,
        upstream(answer=never) as other,
        gateway(slow, other, gateway_timeout_seconds=LITTLE_SECONDS) as front,
    ):
        async with front.client.get("/api/orders") as answer:
            assert 504 == answer.status
            assert "application/problem+json" == answer.content_type
        assert (1, 0) == (len(slow.seen), len(other.seen))
        assert [0, 0] == [worker.outstanding for worker in front.workers]


async def test_an_answer_that_is_not_http_is_a_502() -> None:
    async with (
        raw_upstream(b"220 mail.example ESMTP\r\n\r\n") as strange,
        gateway(strange) as front,
        front.client.get("/api/orders") as answer,
    ):
        assert 502 == answer.status
        assert b"Traceback" not in await answer.read()
