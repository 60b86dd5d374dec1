"""The topic of the job: filled once, read by every system; and what a system left on the broker."""

import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import DefaultPartitioner

from app.topics import ORDER
from benchmarks.windows import reference
from benchmarks.windows.events import Record, records
from infra.local import java

TOPIC = ORDER.name
PARTITIONS = 6
# As large as one fetch of a consumer: fewer, larger batches are a little cheaper to read.
BATCH_BYTES = 500_000
# Events that are made, written and counted together.
CHUNK = 20_000
# A JVM's start on a busy machine.
TOOL_SECONDS = 60


class Source:
    """The topic with the first so many events, keyed by order as ever, and what is right for them.

    Attributes:
        events: how many it holds.
        value_bytes: of their values.
        totals: the reference's answer.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._records: Iterator[Record] = records()
        self._partition_of = DefaultPartitioner()
        self.events = 0
        self.value_bytes = 0
        self.totals: Counter[str] = Counter()

    async def grow_to(self, count: int) -> None:
        """Write what is missing to so many events."""
        if self.events == 0:
            await make(self._bootstrap, TOPIC)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", max_batch_size=BATCH_BYTES
        )
        await producer.start()
        try:
            while self.events < count:
                chunk = list(islice(self._records, min(CHUNK, count - self.events)))
                await self._write(producer, chunk)
                self.events += len(chunk)
                self.value_bytes += sum(len(record.value) for record in chunk)
                reference.fold(self.totals, (record.value for record in chunk))
            await producer.flush()
        finally:
            await producer.stop()

    async def _write(self, producer: AIOKafkaProducer, chunk: list[Record]) -> None:
        numbers = list(range(PARTITIONS))
        by_partition: list[list[Record]] = [[] for _ in numbers]
        for record in chunk:
            by_partition[self._partition_of(record.key, numbers, numbers)].append(record)
        for number, part in enumerate(by_partition):
            await send(producer, TOPIC, number, part)


async def send(
    producer: AIOKafkaProducer, topic: str, partition: int, found: Iterable[Record]
) -> None:
    """Hand the producer the records of one partition, in batches as large as it takes."""
    batch = producer.create_batch()
    for record in found:
        if not _append(batch, record):
            await producer.send_batch(batch, topic, partition=partition)
            batch = producer.create_batch()
            if not _append(batch, record):
                raise ValueError("an event that is larger than a batch")
    await producer.send_batch(batch, topic, partition=partition)


def _append(batch: object, record: Record) -> bool:
    """False if the batch is full."""
    added = batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers)
    return added is not None


async def make(bootstrap: str, *names: str) -> None:
    """Make topics with the project's number of partitions."""
    async with _admin(bootstrap) as admin:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])


async def names(bootstrap: str) -> set[str]:
    """The topics that there are, without the broker's own."""
    async with _admin(bootstrap) as admin:
        return {name for name in await admin.list_topics() if not name.startswith("__")}


async def remove(bootstrap: str, topics: Collection[str]) -> None:
    """Delete topics."""
    async with _admin(bootstrap) as admin:
        await admin.delete_topics(list(topics))


def forget_group(bootstrap: str, group: str) -> None:
    """Delete a group that has no members any more, and with it its offsets."""
    command = java.java_command(
        java.TOOLS["consumer-groups"],
        *("--bootstrap-server", bootstrap, "--delete", "--group", group),
    )
    subprocess.run(command, check=True, capture_output=True, timeout=TOOL_SECONDS)


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def stored_bytes(log_folder: Path, topics: Collection[str]) -> int:
    """Bytes that the broker keeps of these topics' records, as they lie in its log."""
    return sum(
        segment.stat().st_size
        for folder in log_folder.iterdir()
        if folder.name.rpartition("-")[0] in topics
        for segment in folder.glob("*.log")
    )
