"""Fenced locks on a real Redis."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from app.resources import Resources
from app.settings import Settings
from app.stores.errors import LeaseUnavailableError
from app.stores.locks import KEY_PREFIX, TOKEN_KEY, FencedLocks, Lease, LockObserver
from infra.local.testing import LocalServers
from tests.kafka import eventually

pytestmark = pytest.mark.timeout(120)

HOLDERS = 20
# Also a busy machine's Redis, started just now, answers within it.
REDIS_SECONDS = 3.0


def locks(redis: Redis, *, lease: float = 30.0, wait: float = 20.0, **more: Any) -> FencedLocks:
    return FencedLocks(redis, lease_seconds=lease, wait_seconds=wait, **more)


async def test_twenty_holders_at_once_are_never_two_at_a_time(redis: Redis) -> None:
    inside: list[int] = []
    most = 0
    counter = 0
    tokens: list[int] = []

    async def hold(number: int) -> None:
        nonlocal most, counter
        mine = locks(redis)
        for _ in range(5):
            lease = await mine.acquire(["apple", "pear"])
            inside.append(number)
            most = max(most, len(inside))
            seen = counter
            await redis.ping()  # others get their turn, if anything lets them in
            counter = seen + 1
            tokens.append(lease.token)
            inside.remove(number)
            await mine.release(lease)

    async with asyncio.timeout(50):
        await asyncio.gather(*(hold(number) for number in range(HOLDERS)))

    assert 1 == most
    assert HOLDERS * 5 == counter
    assert sorted(set(tokens)) == tokens


async def test_holders_of_crossing_sets_all_get_their_turn(redis: Redis) -> None:
    done = 0

    async def hold(names: list[str]) -> None:
        nonlocal done
        mine = locks(redis)
        for _ in range(5):
            lease = await mine.acquire(names)
            await redis.ping()
            await mine.release(lease)
        done += 1

    names = ["apple", "pear", "plum"]
    async with asyncio.timeout(30):
        await asyncio.gather(
            *(hold([names[n % 3], names[(n + 1) % 3]][:: 1 if n % 2 else -1]) for n in range(9))
        )

    assert 9 == done


async def test_locks_are_taken_all_or_none(redis: Redis) -> None:
    first = await locks(redis).acquire(["pear"])

    with pytest.raises(LeaseUnavailableError, match="pear is locked"):
        await locks(redis, wait=0.1).acquire(["apple", "pear", "plum"])

    assert [KEY_PREFIX.encode() + b"pear"] == await redis.keys(KEY_PREFIX + "*")
    await locks(redis).release(first)
    assert ("apple", "pear") == (await locks(redis).acquire(["pear", "apple"])).names


async def test_disjoint_sets_are_held_side_by_side(redis: Redis) -> None:
    first = await locks(redis).acquire(["apple"])
    second = await locks(redis, wait=0.1).acquire(["pear"])

    assert first.token < second.token


async def test_a_waiting_holder_gets_the_lock_when_it_is_released(redis: Redis) -> None:
    first = await locks(redis).acquire(["apple"])
    waiting = asyncio.create_task(locks(redis).acquire(["apple"]))
    contended = locks(redis, wait=0.1)
    with pytest.raises(LeaseUnavailableError):
        await contended.acquire(["apple"])
    assert not waiting.done()

    await locks(redis).release(first)

    async with asyncio.timeout(30):
        assert first.token < (await waiting).token


async def test_contention_is_told_once_a_call_with_the_name_of_the_lock(redis: Redis) -> None:
    told: list[str] = []
    observer = LockObserver(on_contention=told.append)
    await locks(redis).acquire(["pear"])

    with pytest.raises(LeaseUnavailableError):
        await locks(redis, wait=0.2, observer=observer).acquire(["apple", "pear"])
    await locks(redis, observer=observer).acquire(["plum"])

    assert ["pear"] == told


async def test_tokens_grow_with_every_grant_whatever_is_locked(redis: Redis) -> None:
    mine = locks(redis)
    tokens = []
    for number in range(200):
        lease = await mine.acquire([f"product-{number % 3}"])
        tokens.append(lease.token)
        await mine.release(lease)

    assert sorted(set(tokens)) == tokens


async def test_a_lease_that_ran_out_is_free_and_the_next_token_is_higher(redis: Redis) -> None:
    first = await locks(redis, lease=0.2).acquire(["apple"])

    async with asyncio.timeout(30):
        second = await locks(redis).acquire(["apple"])

    assert first.token < second.token
    assert time.monotonic() >= first.deadline
    with pytest.raises(LeaseUnavailableError, match="run out"):
        first.require(0.0)
    second.require(20.0)
    with pytest.raises(LeaseUnavailableError, match="run out"):
        second.require(31.0)


async def test_releasing_a_lease_that_another_has_by_now_does_nothing(redis: Redis) -> None:
    first = await locks(redis, lease=0.1).acquire(["apple", "pear"])
    second = await locks(redis).acquire(["apple"])

    await locks(redis).release(first)

    with pytest.raises(LeaseUnavailableError):
        await locks(redis, wait=0.05).acquire(["apple"])
    await locks(redis).release(second)
    await locks(redis, wait=0.05).acquire(["apple"])


async def test_releasing_twice_does_nothing(redis: Redis) -> None:
    lease = await locks(redis).acquire(["apple"])
    await locks(redis).release(lease)
    await locks(redis).acquire(["apple"])

    await locks(redis).release(lease)

    with pytest.raises(LeaseUnavailableError):
        await locks(redis, wait=0.05).acquire(["apple"])


async def test_tokens_grow_over_a_redis_that_came_back_empty(redis: Redis) -> None:
    mine = locks(redis)
    tokens = []
    for _ in range(20):
        tokens.append((await mine.acquire(["apple"])).token)
        await redis.flushall()
        await redis.script_flush()

    assert sorted(set(tokens)) == tokens


async def test_with_a_floor_tokens_grow_even_over_an_empty_redis_whose_clock_lags(
    redis: Redis,
) -> None:
    ahead = (await locks(redis).acquire(["apple"])).token + 3600 * 1_000_000
    await redis.flushall()
    without = await locks(redis).acquire(["apple"])
    await redis.flushall()

    after = await locks(redis).acquire(["apple"], floor=ahead)

    assert without.token < ahead
    assert ahead + 1 == after.token
    assert ahead + 2 == (await locks(redis).acquire(["pear"])).token


async def test_tokens_grow_where_the_counter_is_ahead_of_the_clock(redis: Redis) -> None:
    ahead = 2**52
    await redis.set(TOKEN_KEY, ahead)

    tokens = [(await locks(redis).acquire([name])).token for name in ("apple", "pear", "plum")]

    assert [ahead + 1, ahead + 2, ahead + 3] == tokens


async def test_names_may_hold_any_character(redis: Redis) -> None:
    names = ["a b", "ä:*?[", "{x}", "\n", "'"]

    lease = await locks(redis).acquire(names)

    assert tuple(sorted(names)) == lease.names
    assert len(names) == len(await redis.keys(KEY_PREFIX + "*"))
    await locks(redis).release(lease)
    assert [] == await redis.keys(KEY_PREFIX + "*")


@pytest.fixture
def lone_redis(tmp_path: Path) -> Any:
    """A Redis of the test's own, to be stopped."""
    with LocalServers(tmp_path, only=("redis",)) as servers:
        yield servers


def connect(servers: LocalServers) -> Resources:
    """Connected as a worker connects."""
    return Resources.connect(
        Settings(redis_url=servers.redis_url, redis_timeout_seconds=REDIS_SECONDS)
    )


@pytest.mark.parametrize("how", ["stop", "pause"])
async def test_without_redis_locks_are_refused_within_its_time_limit(
    lone_redis: LocalServers, how: str
) -> None:
    resources = connect(lone_redis)
    mine = locks(resources.redis)
    held = await mine.acquire(["apple"])
    getattr(lone_redis, how)("redis")
    try:
        began = time.monotonic()
        with pytest.raises(LeaseUnavailableError, match="Redis"):
            await mine.acquire(["pear"])
        await mine.release(held)
        # A time limit for each of the two, and one for a busy machine.
        assert time.monotonic() - began < 3 * REDIS_SECONDS
    finally:
        lone_redis.start("redis") if how == "stop" else lone_redis.resume("redis")

    async def again() -> Lease | None:
        try:
            return await mine.acquire(["plum"])
        except LeaseUnavailableError:
            return None

    lease = await eventually(again, 30, "Redis grants locks again")
    assert held.token < lease.token
    await resources.close()


async def test_a_holder_that_missed_its_grant_is_granted_the_same_locks_again(
    redis: Redis,
) -> None:
    names = ["missed-1", "missed-2"]
    first = await locks(redis).acquire(names, owner="me")
    again = await locks(redis).acquire(names, owner="me")
    assert again.token > first.token
    with pytest.raises(LeaseUnavailableError):
        await locks(redis, wait=0.05).acquire(names, owner="somebody else")
