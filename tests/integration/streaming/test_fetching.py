"""What a fetch may take, on a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.streaming.fetching import Only
from infra.local.testing import LocalServers
from tests.kafka import create_topics, eventually, producing

pytestmark = pytest.mark.timeout(120)
SECONDS = 60
# Of one fetch; the condition that ends the test comes far sooner.
FETCH_SECONDS = 30
PARTITIONS = 2


@pytest.fixture
async def consumer(local_servers: LocalServers) -> AsyncIterator[AIOKafkaConsumer]:
    """Of both partitions of a new topic, from its beginning."""
    topic = f"fetched-{uuid.uuid4().hex[:8]}"
    await create_topics(local_servers.kafka, [topic], PARTITIONS)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=local_servers.kafka, enable_auto_commit=False, fetch_max_wait_ms=100
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    await consumer.seek_to_beginning()
    yield consumer
    await consumer.stop()


async def test_partitions_that_are_paused_while_a_fetch_waits_give_it_nothing(
    local_servers: LocalServers, consumer: AIOKafkaConsumer
) -> None:
    changelog, stream = sorted(consumer.assignment())
    asked = {changelog}
    fetcher: Any = consumer._fetcher
    fetch = asyncio.create_task(fetcher.fetched_records(Only(asked), timeout=FETCH_SECONDS))
    await eventually(lambda: fetcher._fetch_waiters, SECONDS, "the fetch waits for records")

    # As at a recovery's end: nothing may be taken until the streams are resumed.
    asked.clear()
    async with producing(local_servers.kafka) as producer:
        await producer.send_and_wait(stream.topic, b"first", partition=stream.partition)
        await eventually(lambda: stream in fetcher._records, SECONDS, "the record has come")
        await eventually(
            lambda: fetch.done() or fetcher._fetch_waiters, SECONDS, "the fetch waits again"
        )
        assert not fetch.done()
        assert 0 == await consumer.position(stream)

        asked.add(stream)
        await producer.send_and_wait(changelog.topic, b"wakes it", partition=changelog.partition)
    assert [b"first"] == [record.value for record in (await fetch)[stream]]
