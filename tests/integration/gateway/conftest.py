"""A Redis of its own for the gateways' tests: they stop it."""

from collections.abc import Iterator

import pytest
from redis import Redis

from infra.local.testing import LocalServers


@pytest.fixture(scope="package")
def redis_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    with LocalServers(tmp_path_factory.mktemp("redis"), only={"redis"}) as servers:
        yield servers


@pytest.fixture
def redis_url(redis_alone: LocalServers) -> str:
    """Of a Redis that has nothing."""
    with Redis.from_url(redis_alone.redis_url) as redis:
        redis.flushall()
    return redis_alone.redis_url
