"""Kafka and MongoDB of this folder's own: the registry's topics can't be shared with others.

Its tests share them, whichever come first: each has partitions of its own.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.operating.broker import Broker
from app.settings import Settings
from app.stores import mongo
from infra.local.testing import LocalServers, make_topics


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    with LocalServers(tmp_path_factory.mktemp("operating"), only=("kafka", "mongo")) as servers:
        make_topics(servers)
        yield servers


@pytest.fixture
def settings(servers: LocalServers) -> Settings:
    return Settings(kafka_bootstrap_servers=servers.kafka, mongodb_url=servers.mongodb_url)


@pytest.fixture
def broker(servers: LocalServers) -> Broker:
    # The machine may be busy.
    return Broker(Settings(kafka_bootstrap_servers=servers.kafka), seconds=60)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[mongo.Database]:
    connected = mongo.connect(settings)
    yield connected
    await mongo.close(connected)
