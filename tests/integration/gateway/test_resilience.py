"""Breakers, bulkheads, budgets and time limits, against workers that fail in their own ways."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError, ClientResponse, web

from gateway.app import PROXY
from gateway.breaker import Breaker, State
from gateway.problem import ProblemError
from gateway.proxy import CALL_BODY_MAX_BYTES, Proxy
from tests.integration.gateway.servers import (
    WAIT_SECONDS,
    Gateway,
    Raw,
    Upstream,
    gateway,
    raw_upstream,
    until,
    upstream,
)

pytestmark = pytest.mark.timeout(120)

PATIENCE_SECONDS = 50.0
# Short to wait for, and long enough that a busy machine has the request at the worker by then.
LITTLE_SECONDS = 1.5
HELD = {"Prefer": "wait=5"}
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"


async def aborted(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


class Switch:
    """An answer that holds until it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, _request: web.Request) -> web.StreamResponse:
        await self.release.wait()
        return web.Response()


async def status_of(front: Gateway, target: str = "/api/orders", **options: Any) -> int:
    """The status of a GET whose answer came to its end; 0 where it broke off."""
    try:
        async with front.client.get(target, **options) as answer:
            await answer.read()
            return answer.status
    except (ClientError, OSError):
        return 0


async def problem_of(answer: ClientResponse) -> tuple[int, str, str | None]:
    """Status, detail and Retry-After of a problem."""
    assert "application/problem+json" == answer.content_type
    detail = (await answer.json(content_type=None))["detail"]
    return answer.status, detail, answer.headers.get("Retry-After")


async def breakers(front: Gateway) -> list[dict[str, Any]]:
    async with front.client.get("/api/breakers") as answer:
        assert 200 == answer.status
        listed: list[dict[str, Any]] = (await answer.json())["breakers"]
        return listed


def state(front: Gateway, number: int = 0) -> State:
    return front.workers[number].breaker.state


@pytest.fixture
def left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open stays so: no probe comes into what a busy machine takes long for."""
    monkeypatch.setitem(Breaker.__init__.__kwdefaults__, "open_seconds", PATIENCE_SECONDS)


# What opens a breaker, and what does not


@pytest.mark.usefixtures("left_alone")
async def test_three_broken_connections_open_a_breaker_and_the_others_get_everything() -> None:
    async with (
        raw_upstream() as breaking,
        upstream() as sound,
        gateway(breaking, sound) as front,
    ):
        for _ in range(20):
            assert 200 == await status_of(front)
        opened, closed = await breakers(front)
        assert (breaking.url, "open", 3) == tuple(
            opened[name] for name in ("target", "state", "failures")
        )
        assert opened["openedAt"] < opened["retryAt"]
        expected = {"state": "closed", "failures": 0, "openedAt": None, "retryAt": None}
        assert expected == {name: closed[name] for name in expected}
        assert (3, 20) == (len(breaking.seen), len(sound.seen))
        for worker, value in ((breaking, 2), (sound, 0)):
            assert value == await front.metric(f'circuit_breaker_state{{target="{worker.url}"}}')


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_workers_own_answers_open_nothing_whatever_their_status(status: int) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with upstream(answer=refuse) as worker, gateway(worker) as front:
        assert [status] * 6 == [await status_of(front) for _ in range(6)]
        assert State.CLOSED is state(front)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_a_proxy_before_a_worker_says_of_it_opens_its_breaker(status: int) -> None:
    reply = f"HTTP/1.1 {status} Sorry\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_upstream(reply) as proxied, gateway(proxied) as front:
        assert [status] * 3 == [await status_of(front) for _ in range(3)]
        async with front.client.get("/api/orders") as answer:
            refused, detail, retry_after = await problem_of(answer)
        assert (503, "1") == (refused, retry_after)
        assert "not sent" in detail
        assert 3 == len(proxied.seen)
        assert 1 == await front.metric('gateway_refusals_total{reason="open"}')


@pytest.mark.usefixtures("left_alone")
async def test_answers_that_break_off_open_a_breaker() -> None:
    async with raw_upstream(PART) as breaking, gateway(breaking) as front:
        statuses = []
        for _ in range(4):
            with contextlib.suppress(Exception):
                async with front.client.get("/api/orders") as answer:
                    statuses.append(answer.status)
                    await answer.read()
        assert [200, 200, 200, 503] == statuses
        assert 3 == len(breaking.seen)


@pytest.mark.usefixtures("left_alone")
async def test_a_worker_that_hangs_costs_three_requests_their_time_and_no_more() -> None:
    async with (
        upstream(answer=never) as hung,
        gateway(hung, gateway_timeout_seconds=0.1) as front,
    ):
        assert [504, 504, 504, 503] == [await status_of(front) for _ in range(4)]
        assert (1, State.OPEN) == (front.live, state(front))


async def test_clients_with_little_time_open_nobodys_breaker() -> None:
    async with upstream(answer=never) as slow, gateway(slow) as front:
        little = {"X-Request-Timeout": "0.02"}
        assert [504] * 6 == [await status_of(front, headers=little) for _ in range(6)]
        assert State.CLOSED is state(front)


async def test_clients_that_leave_open_nobodys_breaker() -> None:
    async with upstream(answer=never) as slow, gateway(slow) as front:
        calls = [asyncio.create_task(front.client.get("/api/orders")) for _ in range(6)]
        await until(lambda: len(slow.seen) == 6)
        for call in calls:
            call.cancel()
        await until(lambda: front.workers[0].outstanding == 0)
        assert (State.CLOSED, 0) == (state(front), front.workers[0].breaker.failures)


# Half-open


@contextlib.asynccontextmanager
async def half_open(worker: Upstream) -> AsyncIterator[Gateway]:
    """A gateway whose breaker of the worker was opened, and admits a probe."""
    answer, worker.answer = worker.answer, aborted
    async with gateway(worker) as front:
        assert [502] * 3 == [await status_of(front) for _ in range(3)]
        assert front.workers[0].breaker.opened_at is not None
        await until(lambda: state(front) is State.HALF_OPEN)
        worker.answer = answer
        worker.seen.clear()
        yield front


async def test_of_fifty_requests_at_once_a_half_open_breaker_admits_exactly_one() -> None:
    held = Switch()
    async with upstream(answer=held) as worker, half_open(worker) as front:
        calls = [asyncio.create_task(front.client.get("/api/orders")) for _ in range(50)]
        await until(lambda: sum(call.done() for call in calls) == 49 and len(worker.seen) > 0)
        held.release.set()
        statuses: Counter[int] = Counter()
        for call in calls:
            async with await call as answer:
                statuses[answer.status] += 1
                if answer.status == 503:
                    assert "1" == answer.headers["Retry-After"]
        assert {200: 1, 503: 49} == statuses
        assert 1 == len(worker.seen)
        assert State.CLOSED is state(front)
        assert [200] * 50 == await asyncio.gather(*(status_of(front) for _ in range(50)))


async def test_a_probe_whose_client_leaves_lets_the_next_request_be_the_probe() -> None:
    held = Switch()
    async with upstream(answer=held) as worker, half_open(worker) as front:
        probe = asyncio.create_task(front.client.get("/api/orders"))
        await until(lambda: len(worker.seen) == 1)
        assert 503 == await status_of(front)
        probe.cancel()
        await until(lambda: front.workers[0].breaker.admits)
        held.release.set()
        assert 200 == await status_of(front)
        assert State.CLOSED is state(front)


async def test_a_worker_that_flaps_gets_one_request_a_pause() -> None:
    async with upstream(answer=aborted) as worker, half_open(worker) as front:
        assert [502, 503, 503] == [await status_of(front) for _ in range(3)]
        assert 1 == len(worker.seen)
        assert State.OPEN is state(front)


async def test_a_worker_that_was_killed_and_is_back_gets_its_probe_at_once() -> None:
    async with upstream(answer=aborted) as worker, gateway(worker) as front:
        assert 502 == await status_of(front)
        await worker.stop()
        # What the checks find confirms the failure.
        await until(lambda: state(front) is State.OPEN)
        front.workers[0].breaker.retry_at = float("inf")
        worker.answer = held = Switch()
        held.release.set()
        await worker.start()
        await until(lambda: front.live == 1)
        assert 200 == await status_of(front)
        assert State.CLOSED is state(front)


async def test_a_worker_that_stops_in_order_and_starts_again_has_a_closed_breaker() -> None:
    async with upstream() as worker, gateway(worker) as front:
        assert 200 == await status_of(front)
        worker.livez = 503
        await until(lambda: front.live == 0)
        await worker.stop()
        worker.livez = 200
        await worker.start()
        await until(lambda: front.live == 1)
        assert [200] * 5 == await asyncio.gather(*(status_of(front) for _ in range(5)))


# Bulkheads


async def test_when_every_worker_is_full_the_next_request_is_refused_at_once() -> None:
    one, two = Switch(), Switch()
    async with (
        upstream(answer=one) as first,
        upstream(answer=two) as second,
        gateway(first, second, gateway_ordinary_max=2) as front,
    ):
        calls = [asyncio.create_task(status_of(front)) for _ in range(4)]
        await until(lambda: (2, 2) == (len(first.seen), len(second.seen)))
        async with front.client.post("/api/orders", data=b"{}") as answer:
            status, detail, retry_after = await problem_of(answer)
        assert (503, "1") == (status, retry_after)
        assert "busy" in detail
        outstanding = f'gateway_requests_outstanding{{kind="ordinary",target="{first.url}"}}'
        assert 2 == await front.metric(outstanding)
        assert 1 == await front.metric('gateway_refusals_total{reason="full"}')
        two.release.set()
        await until(lambda: front.workers[1].outstanding == 0)
        assert 200 == await status_of(front)
        one.release.set()
        assert [200] * 4 == await asyncio.gather(*calls)


async def test_held_requests_and_streams_starve_no_ordinary_ones_nor_the_reverse() -> None:
    held = Switch()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/quick":
            return web.Response()
        if request.path.endswith("/stream"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
        else:
            response = web.Response()
        await held.release.wait()
        return response

    limits = {"gateway_ordinary_max": 2, "gateway_held_max": 3, "gateway_pool_size": 2}
    async with upstream(answer=answer) as worker, gateway(worker, **limits) as front:
        calls = [asyncio.create_task(status_of(front, headers=HELD)) for _ in range(2)]
        calls.append(asyncio.create_task(status_of(front, "/api/analytics/stream")))
        await until(lambda: len(worker.seen) == 3)
        assert 503 == await status_of(front, headers=HELD)
        assert 503 == await status_of(front, "/api/analytics/stream")
        # More wait on purpose than there are connections for ordinary requests.
        assert [200] * 2 == await asyncio.gather(*(status_of(front, "/api/quick") for _ in "12"))
        calls += [asyncio.create_task(status_of(front)) for _ in range(2)]
        await until(lambda: len(worker.seen) == 7)
        assert 503 == await status_of(front, "/api/quick")
        held.release.set()
        assert [200] * 5 == await asyncio.gather(*calls)
        assert 0 == front.workers[0].outstanding


# Budgets


async def test_the_retry_budget_stops_a_storm_of_resends() -> None:
    async def flaky(request: web.Request) -> web.StreamResponse:
        return await aborted(request) if request.path == "/bad" else web.Response()

    async with (
        upstream(answer=flaky) as one,
        upstream(answer=flaky) as two,
        gateway(one, two, gateway_retry_ratio=0, gateway_retry_floor=0.0001) as front,
    ):
        statuses: Counter[int] = Counter()
        for _ in range(10):
            statuses[await status_of(front, "/api/bad")] += 1
            # No breaker has to do with this.
            assert [200, 200] == [await status_of(front, "/api/good") for _ in range(2)]
        # One token is kept; the next comes in hours.
        assert {502: 1, 503: 9} == statuses
        bad = [seen for worker in (one, two) for seen in worker.seen if seen.target == "/bad"]
        assert 11 == len(bad)
        async with front.client.put("/api/bad") as answer:
            status, detail, retry_after = await problem_of(answer)
        assert (503, "1") == (status, retry_after)
        assert "sent again safely" in detail
        assert 1 == await front.metric('gateway_resends_total{outcome="sent"}')
        assert 10 == await front.metric('gateway_resends_total{outcome="over_budget"}')


async def test_a_connection_that_was_never_made_costs_no_budget() -> None:
    async with (
        upstream() as gone,
        upstream() as sound,
        gateway(gone, sound, gateway_retry_ratio=0, gateway_retry_floor=0) as front,
    ):
        await gone.stop()
        assert [200] * 5 == [await status_of(front) for _ in range(5)]


# Time limits


async def test_the_clients_limit_ends_a_request_and_the_worker_is_told_of_it() -> None:
    async with upstream(answer=never) as slow, gateway(slow) as front:
        limit = {"X-Request-Timeout": str(LITTLE_SECONDS)}
        async with front.client.get("/api/orders", headers=limit) as answer:
            assert (504, None) == (await problem_of(answer))[::2]
        (told,) = slow.seen[0].headers.getall("X-Request-Timeout")
        assert 0 < float(told) < LITTLE_SECONDS


@pytest.mark.parametrize("headers", [{}, {"X-Request-Timeout": "100000"}], ids=["none", "long"])
async def test_a_worker_is_never_told_of_more_than_the_gateways_limit(
    headers: dict[str, str],
) -> None:
    async with upstream() as worker, gateway(worker) as front:
        assert 200 == await status_of(front, headers=headers)
        told = float(worker.seen[0].headers["X-Request-Timeout"])
        assert WAIT_SECONDS / 2 < told < WAIT_SECONDS


async def test_a_request_whose_time_is_up_is_not_sent() -> None:
    async with upstream() as worker, gateway(worker) as front:
        async with front.client.post(
            "/api/orders", data=b"{}", headers={"X-Request-Timeout": "0"}
        ) as answer:
            status, detail, _ = await problem_of(answer)
        assert 504 == status
        assert "nothing was done" in detail
        assert [] == worker.seen


async def test_a_body_that_takes_all_of_the_requests_time_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.server.OPTIONS", {"access_log": None, "lingering_time": 0.05})
    async with upstream() as worker, gateway(worker) as front:
        request = (
            b"POST /api/orders HTTP/1.1\r\nHost: h\r\nX-Request-Timeout: 0.05\r\n"
            b"Content-Length: 9\r\n\r\nslow"
        )
        answer = await front.raw(request)
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert b"nothing was done" in answer
        assert [] == worker.seen


@pytest.mark.parametrize("limit", ["-1", "soon", "1e9", ""])
async def test_a_limit_that_is_no_number_of_seconds_is_a_bad_request(limit: str) -> None:
    async with upstream() as worker, gateway(worker) as front:
        async with front.client.get("/api/orders", headers={"X-Request-Timeout": limit}) as answer:
            assert 400 == (await problem_of(answer))[0]
        assert [] == worker.seen


# Balancing


@pytest.mark.parametrize(
    ("balancing", "expected"),
    [("round_robin", 10), ("least_outstanding", 1), ("p2c", 1)],
)
async def test_a_worker_that_is_slow_gets_no_more_where_what_is_under_way_counts(
    balancing: str, expected: int
) -> None:
    held = Switch()
    async with (
        upstream(answer=held) as slow,
        upstream() as one,
        upstream() as two,
        gateway(slow, one, two, gateway_balancing=balancing) as front,
    ):
        calls = []
        for number in range(30):
            calls.append(asyncio.create_task(status_of(front)))
            await until(lambda number=number: _arrived(slow, one, two) > number)  # type: ignore[misc]
            await until(lambda: front.workers[1].outstanding == front.workers[2].outstanding == 0)
        # Drawn by chance, the slow one may never have had its first.
        assert len(slow.seen) in ({0, 1} if balancing == "p2c" else {expected})
        held.release.set()
        assert [200] * 30 == await asyncio.gather(*calls)


def _arrived(*workers: Upstream) -> int:
    return sum(len(worker.seen) for worker in workers)


# The gateway's own calls


@pytest.mark.usefixtures("left_alone")
async def test_an_own_call_is_chosen_limited_and_resent_like_any_request() -> None:
    async with (
        raw_upstream() as breaking,
        upstream(name="worker-7") as sound,
        gateway(breaking, sound) as front,
    ):
        proxy: Proxy = front.app[PROXY]
        for _ in range(8):
            answer = await proxy.call("GET", "/users?limit=1", headers={"X-A": "1"}, seconds=5)
            assert (200, "worker-7") == (answer.status, answer.headers["X-Worker-Id"])
            assert b'{"target": "/users?limit=1"}' == answer.body
        assert State.OPEN is state(front)
        assert (3, 8) == (len(breaking.seen), len(sound.seen))
        assert "1" == sound.seen[0].headers["X-A"]
        await proxy.call("POST", "/orders", headers={}, body=b"body", seconds=5)
        assert b"body" == sound.seen[-1].body


async def _large(request: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(CALL_BODY_MAX_BYTES + 1))


async def _stalls(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"part")
    return await never(request)


@pytest.mark.parametrize(
    ("answer", "status", "seconds"),
    [
        (never, 504, 0.5),
        (_stalls, 504, 0.5),
        (_large, 502, WAIT_SECONDS),
        (aborted, 502, WAIT_SECONDS),
    ],
)
async def test_an_own_call_that_comes_to_nothing_is_a_problem_and_holds_nothing(
    answer: Any, status: int, seconds: float
) -> None:
    async with upstream(answer=answer) as worker, gateway(worker) as front:
        with pytest.raises(ProblemError) as failed:
            await front.app[PROXY].call("GET", "/users", headers={}, seconds=seconds)
        assert status == failed.value.status
        assert 0 == front.workers[0].outstanding


# Everything at once


@contextlib.asynccontextmanager
async def bad_company() -> AsyncIterator[tuple[list[Upstream | Raw], Upstream]]:
    """One worker of each kind: breaks, breaks off, hangs, answers now and then, is well."""
    asked = 0

    async def flapping(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await (aborted(request) if asked % 10 < 5 else never(request))

    async with (
        raw_upstream() as breaking,
        raw_upstream(PART) as partial,
        upstream(answer=never) as hung,
        upstream(answer=flapping) as flaps,
        upstream() as sound,
    ):
        yield [breaking, partial, hung, flaps, sound], sound


async def test_among_workers_of_every_bad_kind_no_request_hangs_and_the_sound_one_serves() -> None:
    limits = {
        "gateway_timeout_seconds": 1.0,
        "gateway_connect_timeout_seconds": 5.0,
        "gateway_ordinary_max": 10,
    }
    async with bad_company() as (workers, sound), gateway(*workers, **limits) as front:
        async with asyncio.timeout(PATIENCE_SECONDS):
            first = await asyncio.gather(*(status_of(front) for _ in range(200)))
        # 0: an answer that had begun broke off.
        assert set(first) <= {0, 200, 502, 503, 504}
        assert 0 == sum(worker.outstanding for worker in front.workers)
        # Those that fail are left alone, but for a probe each less and less often.
        in_a_row = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while in_a_row < 30:
                in_a_row = in_a_row + 1 if await status_of(front) == 200 else 0
        assert State.CLOSED is state(front, workers.index(sound))
