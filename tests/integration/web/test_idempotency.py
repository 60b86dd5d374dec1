"""Idempotency keys on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.stores.errors import TransientStoreError
from app.stores.idempotency import (
    Fresh,
    IdempotencyKeys,
    InFlight,
    Mismatch,
    Note,
    Replay,
    redis_key,
)
from infra.local.testing import LocalServers

CLAIM_SECONDS = 30.0
TTL_SECONDS = 100.0


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    servers = LocalServers(tmp_path_factory.mktemp("redis"), only=["redis"])
    servers.start()
    try:
        yield servers.redis_url
    finally:
        servers.stop()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def keys(redis: Redis) -> IdempotencyKeys:
    return IdempotencyKeys(redis, claim_seconds=CLAIM_SECONDS, ttl_seconds=TTL_SECONDS)


@pytest.fixture
def user() -> str:
    return uuid4().hex


async def claimed(keys: IdempotencyKeys, user: str, fingerprint: str = "body") -> Fresh:
    begun = await keys.begin(user, "key", fingerprint)
    assert isinstance(begun, Fresh)
    return begun


async def test_of_many_at_once_one_gets_the_key(keys: IdempotencyKeys, user: str) -> None:
    begun = await asyncio.gather(*(keys.begin(user, "key", "body") for _ in range(50)))

    assert 1 == sum(isinstance(each, Fresh) for each in begun)
    assert 49 == sum(isinstance(each, InFlight) for each in begun)


async def test_the_time_left_is_told(keys: IdempotencyKeys, user: str) -> None:
    await claimed(keys, user)

    begun = await keys.begin(user, "key", "body")

    assert isinstance(begun, InFlight)
    assert 0 < begun.seconds <= CLAIM_SECONDS


async def test_what_was_answered_is_answered_again(keys: IdempotencyKeys, user: str) -> None:
    await keys.complete(await claimed(keys, user), b'{"a":"\xc3\xa9"}')

    assert Replay(b'{"a":"\xc3\xa9"}') == await keys.begin(user, "key", "body")
    assert Mismatch() == await keys.begin(user, "key", "other")


async def test_an_answer_once_given_stays(keys: IdempotencyKeys, user: str) -> None:
    claim = await claimed(keys, user)
    await keys.complete(claim, b"first")
    await keys.complete(claim, b"second")

    assert Replay(b"first") == await keys.begin(user, "key", "body")


async def test_another_body_is_refused_from_the_first_moment(
    keys: IdempotencyKeys, user: str
) -> None:
    await claimed(keys, user)

    assert Mismatch() == await keys.begin(user, "key", "other")


async def test_an_abandoned_key_is_free_for_its_own_body_only(
    keys: IdempotencyKeys, user: str
) -> None:
    await keys.abandon(await claimed(keys, user))

    assert Mismatch() == await keys.begin(user, "key", "other")
    await claimed(keys, user)


async def test_a_forgotten_key_is_free(keys: IdempotencyKeys, user: str) -> None:
    await keys.abandon(await claimed(keys, user), forget=True)

    await claimed(keys, user, "other")


async def test_a_claim_that_ran_out_can_be_taken_over(
    redis: Redis, keys: IdempotencyKeys, user: str
) -> None:
    brief = IdempotencyKeys(redis, claim_seconds=0.05, ttl_seconds=TTL_SECONDS)
    late = await claimed(brief, user)
    async with asyncio.timeout(60):
        # The second claim lasts: it must not run out under what is said of it.
        while isinstance(begun := await keys.begin(user, "key", "body"), InFlight):
            await asyncio.sleep(begun.seconds)
    assert isinstance(begun, Fresh)

    await brief.abandon(late)

    assert isinstance(await keys.begin(user, "key", "body"), InFlight)


async def test_a_note_is_kept_with_the_answer(
    redis: Redis, keys: IdempotencyKeys, user: str
) -> None:
    note = Note(f"note:{user}", b"\x00value", 50.0)

    await keys.complete(await claimed(keys, user), b"answer", note=note)

    assert b"\x00value" == await redis.get(note.key)
    assert 0 < await redis.ttl(note.key) <= 50
    assert 50 < await redis.ttl(redis_key(user, "key")) <= TTL_SECONDS


async def test_a_key_is_one_users(keys: IdempotencyKeys, user: str) -> None:
    await claimed(keys, user)

    await claimed(keys, user + "2")


async def test_a_redis_that_is_away_is_told(user: str) -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nowhere:
        keys = IdempotencyKeys(nowhere, claim_seconds=1, ttl_seconds=1)

        with pytest.raises(TransientStoreError):
            await keys.begin(user, "key", "body")
