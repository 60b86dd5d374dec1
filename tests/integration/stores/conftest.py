"""Redis and the Mongo wire server for the tests of the stores."""

from collections.abc import AsyncIterator, Iterator
from typing import Literal
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.settings import Settings
from app.stores import mongo
from infra.local.testing import LocalServers

# Short enough that a test of a lost server ends soon, long enough for a busy machine of two cores.
MONGO_TIMEOUT_SECONDS = 5.0
REDIS_TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="session")
def store_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """Redis and MongoDB, without Kafka."""
    directory = tmp_path_factory.mktemp("stores")
    with LocalServers(directory, only=("mongo", "redis")) as servers:
        yield servers


@pytest.fixture
def mongo_driver() -> str:
    """What the database is used through."""
    return "pymongo"


@pytest.fixture
async def database(
    store_servers: LocalServers, mongo_driver: Literal["pymongo", "motor"]
) -> AsyncIterator[mongo.Database]:
    """A database of the test's own."""
    base, _, query = store_servers.mongodb_url.rpartition("/")[0], "", "retryWrites=false"
    found = mongo.connect(
        Settings(
            mongodb_url=f"{base}/test-{uuid4().hex[:12]}?{query}",
            mongo_timeout_seconds=MONGO_TIMEOUT_SECONDS,
            mongo_driver=mongo_driver,
        )
    )
    yield found
    await found.client.drop_database(found.name)
    await mongo.close(found)


@pytest.fixture
async def redis(store_servers: LocalServers) -> AsyncIterator[Redis]:
    """An empty Redis."""
    client = Redis.from_url(
        store_servers.redis_url,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
    await client.flushall()
    yield client
    await client.aclose()
