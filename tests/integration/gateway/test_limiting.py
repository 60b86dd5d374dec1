"""Rate limits of several gateways on one Redis, and without it."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from app.identity import Principal, Role
from app.identity.configured import issuer_of
from app.quota import Quota
from app.settings import Settings
from gateway.keys import SHARED
from gateway.limiting import CHECK_SCRIPT
from gateway.metrics import Metrics
from gateway.shared import Shared
from gateway.windows import LocalWindows, Verdict, Window
from infra.local.testing import LocalServers
from tests.integration.gateway.servers import (
    POLL_SECONDS,
    SELDOM_SECONDS,
    Gateway,
    Upstream,
    gateway,
    upstream,
)

FROM = "X-Forwarded-For"
SECRET = "a secret of these tests that is long enough"
# A busy machine is not taken for servers that are lost.
PATIENT = {
    "gateway_health_interval_seconds": SELDOM_SECONDS,
    "gateway_connect_timeout_seconds": 60.0,
    "gateway_timeout_seconds": 60.0,
    "gateway_redis_timeout_seconds": 10.0,
}
PATIENCE_SECONDS = 60
NOT_OFF = {"rate_limit_client": "3/60 s", "rate_limit_user": "off"}


@contextlib.asynccontextmanager
async def three(url: str, **fields: Any) -> AsyncIterator[tuple[list[Gateway], Upstream]]:
    """Gateways that share a Redis, and a worker."""
    async with contextlib.AsyncExitStack() as stack:
        worker = await stack.enter_async_context(upstream())
        fronts = [
            await stack.enter_async_context(
                gateway(
                    worker, gateway_name=f"gateway-{i}", **{**PATIENT, "redis_url": url, **fields}
                )
            )
            for i in (1, 2, 3)
        ]
        yield fronts, worker


def bearer(user: str, role: Role) -> dict[str, str]:
    """Headers with a token, for gateways with `SECRET`."""
    issuer = issuer_of(Settings(auth_secret=SECRET))
    assert issuer is not None
    return {"Authorization": f"Bearer {issuer.issue(Principal(user, role), time.time())}"}


async def statuses(fronts: list[Gateway], requests: int, path: str, who: str) -> Counter[int]:
    """What comes of requests sent at once to one gateway after the other."""

    async def one(front: Gateway) -> int:
        async with front.client.get(path, headers={FROM: who}) as answer:
            return answer.status

    found = (one(fronts[i % len(fronts)]) for i in range(requests))
    return Counter(await asyncio.gather(*found))


async def test_limited_admits_a_client_five_times_at_all_gateways_together(redis_url: str) -> None:
    async with three(redis_url) as (fronts, _):
        assert Counter({200: 5, 429: 25}) == await statuses(fronts, 30, "/api/limited", "10.0.0.1")
        assert Counter({200: 5, 429: 1}) == await statuses(fronts, 6, "/api/limited", "10.0.0.2")
        assert 25.0 + 1.0 == sum(
            [await front.metric('rate_limited_total{limit="limited"}') for front in fronts]
        )


async def test_a_refusal_says_what_holds_and_when_to_come_again(redis_url: str) -> None:
    async with three(redis_url) as (fronts, _):
        client, headers = fronts[0].client, {FROM: "10.0.0.1"}
        for remaining in ("4", "3", "2", "1", "0"):
            async with client.get("/api/limited", headers=headers) as answer:
                body = await answer.json()
                assert (200, remaining) == (answer.status, answer.headers["RateLimit-Remaining"])
                assert {"allowed": True, "instance": "gateway-1"} == body
        async with client.get("/api/limited", headers=headers) as answer:
            body = await answer.json()
            assert (429, "application/problem+json") == (answer.status, answer.content_type)
            said = answer.headers
    assert ("5", "0", "5;w=10") == tuple(
        said[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Policy")
    )
    assert 1 <= int(said["Retry-After"]) <= 10
    assert said["Retry-After"] == said["RateLimit-Reset"]
    assert body["detail"].startswith("At most 5 requests in 10 s are allowed a client; try again")


async def test_who_waits_as_told_is_admitted(redis_url: str) -> None:
    async with three(redis_url, rate_limit_client="2/1 s") as (fronts, _):
        refusals: list[str] = []

        async def ask() -> int:
            async with fronts[0].client.get("/api/orders") as answer:
                refusals.extend(answer.headers.getall("Retry-After", []))
                return answer.status

        async with asyncio.timeout(60):
            while not refusals:
                await asyncio.gather(*(ask() for _ in range(8)))
        await asyncio.sleep(int(refusals[-1]))  # to do as told is what is tested
        assert 200 == await ask()


async def test_health_metrics_and_documents_are_never_limited(redis_url: str) -> None:
    async with three(redis_url, **NOT_OFF) as (fronts, _):
        assert 429 in await statuses(fronts, 6, "/api/orders", "10.0.0.1")
        for path in ("/livez", "/api/livez", "/readyz", "/metrics", "/api/metrics", "/"):
            async with fronts[0].client.get(path, headers={FROM: "10.0.0.1"}) as answer:
                assert (200, False) == (answer.status, "RateLimit-Limit" in answer.headers)


async def test_a_user_is_limited_wherever_the_requests_come_from(redis_url: str) -> None:
    fields = {"auth_secret": SECRET, "rate_limit_client": "off", "rate_limit_user": "3/60 s"}
    found = []
    async with three(redis_url, **fields) as (fronts, _):
        for user in ("ann", "bob"):
            for i in range(5):
                headers = bearer(user, Role.CUSTOMER) | {FROM: f"10.0.0.{i}"}
                async with fronts[i % 3].client.get("/api/orders", headers=headers) as answer:
                    found.append(answer.status)
    assert [200, 200, 200, 429, 429] * 2 == found


async def test_nothing_is_limited_or_said_where_it_is_off(redis_url: str) -> None:
    off = {"rate_limit_client": "off", "rate_limit_user": "off"}
    async with three(redis_url, **off) as (fronts, _), fronts[0].client.get("/api/orders") as got:
        assert (200, []) == (
            got.status,
            [name for name in got.headers if name.startswith("RateLimit")],
        )


async def test_without_redis_reads_go_on_and_posts_have_each_gateways_own_limit(
    redis_alone: LocalServers, redis_url: str
) -> None:
    async with three(redis_url, **NOT_OFF) as (fronts, _):
        assert Counter({200: 3, 429: 1}) == await statuses(fronts, 4, "/api/orders", "10.0.0.1")
        redis_alone.stop("redis")
        try:
            assert Counter({200: 30}) == await statuses(fronts, 30, "/api/orders", "10.0.0.1")
            for front in fronts[:2]:
                posted = [await front.client.post("/api/orders", json={}) for _ in range(5)]
                assert [200, 200, 200, 429, 429] == [answer.status for answer in posted]
            async with fronts[0].client.get("/api/limited") as answer:
                assert (503, "1") == (answer.status, answer.headers["Retry-After"])
            assert 0.0 == await fronts[0].metric("redis_available")
        finally:
            redis_alone.start("redis")
        for front in fronts:
            await until_back(front)
        assert Counter({200: 5, 429: 1}) == await statuses(fronts, 6, "/api/limited", "10.0.0.9")


async def test_a_redis_that_hangs_is_waited_for_once(
    redis_alone: LocalServers, redis_url: str
) -> None:
    async with three(redis_url, gateway_redis_timeout_seconds=0.5) as (fronts, worker):
        redis_alone.pause("redis")
        try:
            assert Counter({200: 3}) == await statuses(fronts, 3, "/api/orders", "10.0.0.1")
            # By now each knows, and nothing is sent to Redis that could hang.
            assert [False] * 3 == [front.app[SHARED].available for front in fronts]
            assert Counter({200: 12}) == await statuses(fronts, 12, "/api/orders", "10.0.0.1")
            assert [] == [call for front in fronts for call in front.app[SHARED]._waiting]
        finally:
            redis_alone.resume("redis")
        for front in fronts:
            await until_back(front)
    assert 15 == len(worker.seen)


async def test_a_name_that_is_no_unicode_is_counted_as_well(redis_url: str) -> None:
    shared = Shared(redis_url, 10.0, Metrics(), ())
    await shared.start()
    assert [1, 2] == [await shared.call("INCR", "of \ud800\udcff") for _ in range(2)]
    await shared.close()


async def test_a_redis_that_forgot_the_scripts_is_told_them_again(redis_url: str) -> None:
    async with three(redis_url) as (fronts, _), Redis.from_url(redis_url) as redis:
        await redis.script_flush()
        assert Counter({200: 5, 429: 1}) == await statuses(fronts, 6, "/api/limited", "10.0.0.1")
        assert 1.0 == await fronts[0].metric("redis_available")


async def test_a_window_admits_exactly_what_its_twin_does_at_the_same_times(
    redis_url: str,
) -> None:
    """The script and `LocalWindows`, whose bound its properties hold, are the same function."""
    windows = [Window.of("exact", Quota(7, 1)), Window.of("tenths", Quota(150, 1))]
    found: dict[Window, list[Verdict]] = {window: [] for window in windows}
    shared = Shared(redis_url, 10.0, Metrics(), (CHECK_SCRIPT,))
    await shared.start()

    async def check(window: Window) -> None:
        numbers = (window.quota.requests, window.width, window.earlier)
        answer = await shared.run(CHECK_SCRIPT, [window.key("ann")], numbers)
        found[window].append(Verdict.of([window], answer))

    def enough(window: Window) -> bool:
        admitted = [verdict.admitted for verdict in found[window]]
        return admitted.count(True) > 2 * window.quota.requests and not all(admitted)

    async with asyncio.timeout(100):
        while not all(enough(window) for window in windows):
            await asyncio.gather(*(check(window) for window in windows * 40))
    await shared.close()
    for window, verdicts in found.items():
        times = iter(verdict.at_ms for verdict in verdicts)
        twin = LocalWindows(times.__next__)
        assert verdicts == [twin.check([(window, "ann")]) for _ in verdicts]
        admitted = [verdict.at_ms for verdict in verdicts if verdict.admitted]
        for first, beyond in zip(admitted, admitted[window.quota.requests :], strict=False):
            assert beyond - first >= window.quota.seconds * 1000


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("rate_limit_client", "many", "requests and time, such as `2000/10 s`"),
        ("rate_limit_user", "0/10 s", "at least 1 request"),
        ("rate_limit_user", "5/2 weeks", "requests and time"),
        ("gateway_trusted_proxies", "localhost", "does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(name: str, value: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Settings(**{name: value})


async def until_back(front: Gateway) -> None:
    """Wait for the gateway to have its Redis again."""
    await patiently(lambda: front.app[SHARED].available)


async def patiently(condition: Callable[[], bool]) -> None:
    """Wait for the condition to hold, also on a busy machine."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(POLL_SECONDS)
