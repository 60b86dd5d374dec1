"""`/api/count`: one counter for all gateways, and one of each."""

import asyncio

from infra.local.testing import LocalServers
from tests.integration.gateway.servers import Gateway
from tests.integration.gateway.test_limiting import three, until_back


async def counted(front: Gateway, query: str = "") -> tuple[int, str]:
    async with front.client.get(f"/api/count{query}") as answer:
        assert (200, "no-store") == (answer.status, answer.headers["Cache-Control"])
        body = await answer.json()
        return body["count"], body["instance"]


async def test_the_shared_count_goes_up_by_one_whoever_answers(redis_url: str) -> None:
    async with three(redis_url) as (fronts, _):
        found = await asyncio.gather(*(counted(fronts[i % 3]) for i in range(60)))
    assert list(range(1, 61)) == sorted(count for count, _ in found)
    assert {"gateway-1", "gateway-2", "gateway-3"} == {instance for _, instance in found}


async def test_the_local_count_is_each_gateways_own(redis_url: str) -> None:
    async with three(redis_url) as (fronts, _):
        found = [await counted(fronts[i % 3], "?local=1") for i in range(6)]
        assert (1, "gateway-1") == await counted(fronts[0], "?local=0")
    assert [(i, f"gateway-{name}") for i in (1, 2) for name in (1, 2, 3)] == found


async def test_without_redis_only_the_local_count_goes_on(
    redis_alone: LocalServers, redis_url: str
) -> None:
    async with three(redis_url) as (fronts, _):
        redis_alone.process("redis").kill9()
        try:
            async with fronts[0].client.get("/api/count") as answer:
                assert (503, "1") == (answer.status, answer.headers["Retry-After"])
                assert "?local=1" in (await answer.json())["detail"]
            assert (1, "gateway-1") == await counted(fronts[0], "?local=1")
        finally:
            redis_alone.start("redis")
        await until_back(fronts[0])
        assert "gateway-1" == (await counted(fronts[0]))[1]
