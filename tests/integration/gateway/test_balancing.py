import asyncio

import pytest
from aiohttp import web

from tests.integration.gateway.servers import (
    SELDOM_SECONDS,
    Upstream,
    gateway,
    until,
    upstream,
)

pytestmark = pytest.mark.timeout(30)


async def test_idle_workers_take_turns() -> None:
    async with (
        upstream() as one,
        upstream() as two,
        upstream() as three,
        gateway(one, two, three) as front,
    ):
        for _ in range(9):
            await front.client.get("/api/orders")
        assert [3, 3, 3] == [len(worker.seen) for worker in (one, two, three)]


async def test_a_busy_worker_gets_nothing_more_while_another_is_idle() -> None:
    release = asyncio.Event()

    async def held(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with upstream(answer=held) as busy, upstream() as idle, gateway(busy, idle) as front:
        call = asyncio.create_task(front.client.get("/api/orders"))
        await until(lambda: len(busy.seen) == 1)
        for _ in range(5):
            await front.client.get("/api/orders")
        assert (1, 5) == (len(busy.seen), len(idle.seen))
        release.set()
        assert 200 == (await call).status


async def test_a_stream_counts_as_outstanding_until_it_ends() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await asyncio.Event().wait()
        return response

    async with upstream(answer=endless) as one, gateway(one) as front:
        async with front.client.get("/api/analytics/stream") as answer:
            await answer.content.readany()
            assert 1 == front.workers[0].outstanding
            answer.close()
        await until(lambda: front.workers[0].outstanding == 0)


async def test_a_worker_that_stops_gets_nothing_until_it_answers_checks_again() -> None:
    async with upstream() as one, upstream() as two, gateway(one, two) as front:
        await one.stop()
        await until(lambda: front.live == 1)
        for _ in range(4):
            assert 200 == (await front.client.post("/api/orders")).status
        assert (0, 4) == (len(one.seen), len(two.seen))

        await one.start()
        await until(lambda: front.live == 2)
        for _ in range(4):
            await front.client.post("/api/orders")
        assert (2, 6) == (len(one.seen), len(two.seen))


async def test_a_worker_that_says_it_is_not_alive_gets_nothing() -> None:
    async with upstream(livez=503) as sick, upstream() as well, gateway(sick, well) as front:
        assert [False, True] == [worker.live for worker in front.workers]
        await front.client.get("/api/orders")
        await front.client.get("/api/orders")
        assert (0, 2) == (len(sick.seen), len(well.seen))


async def test_a_worker_that_is_alive_but_not_ready_still_gets_requests() -> None:
    async with upstream(readyz=503) as worker, gateway(worker) as front:
        await until(lambda: worker.checks > 2)
        assert 200 == (await front.client.post("/api/orders")).status


async def test_a_worker_that_answers_checks_too_late_is_taken_out_and_comes_back() -> None:
    hung = Upstream()
    late = asyncio.Event()
    soon = hung._livez

    async def livez(request: web.Request) -> web.StreamResponse:
        if late.is_set():
            await asyncio.Event().wait()
        return await soon(request)

    hung._livez = livez  # type: ignore[method-assign]
    await hung.start()
    try:
        async with gateway(hung, gateway_connect_timeout_seconds=0.1) as front:
            # On a busy machine the first checks may be late.
            await until(lambda: front.live == 1)
            late.set()
            await until(lambda: front.live == 0)
            late.clear()
            await until(lambda: front.live == 1)
    finally:
        await hung.stop()


async def test_workers_are_checked_before_the_first_request_is_taken() -> None:
    async with (
        upstream() as one,
        gateway(one, gateway_health_interval_seconds=SELDOM_SECONDS) as front,
    ):
        assert (1, 1) == (front.live, one.checks)


async def test_a_full_pool_holds_no_check_up() -> None:
    release = asyncio.Event()

    async def held(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with upstream(answer=held) as one, gateway(one, gateway_pool_size=2) as front:
        calls = [asyncio.create_task(front.client.get("/api/orders")) for _ in range(5)]
        await until(lambda: front.workers[0].outstanding == 5)
        checks = one.checks
        await until(lambda: one.checks > checks + 3)
        # The pool is bounded: the others wait in the gateway.
        assert 2 == len(one.seen)
        assert 1 == front.live
        release.set()
        assert [200] * 5 == [answer.status for answer in await asyncio.gather(*calls)]
