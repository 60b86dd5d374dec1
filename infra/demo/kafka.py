"""What demonstrations ask of Kafka, each question within a time limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code
from aiokafka.partitioner import murmur2
from aiokafka.protocol.admin import DeleteGroupsRequest
from faust.assignor.client_assignment import ClientMetadata

from app.kafka import client_options
from app.settings import Settings
from infra.demo.claims import DemoError

REQUEST_MS = 10_000
FETCH_MS = 500
# Java's clients take the sign bit off the hash before they divide (`DefaultPartitioner`).
NO_SIGN = 0x7FFFFFFF

Partitions = Mapping[str, frozenset[int]]
"""The partitions of one topic that each member of a group has, by the member's client id."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group as its coordinator describes it."""

    name: str
    state: str
    members: Mapping[str, Mapping[str, frozenset[int]]]

    @property
    def stable(self) -> bool:
        """Whether all partitions are given out."""
        return self.state == "Stable"

    def of(self, topic: str) -> Partitions:
        """Who has which partitions of a topic."""
        return {name: topics.get(topic, frozenset()) for name, topics in self.members.items()}


class Cluster:
    """An administrator's connection to Kafka."""

    def __init__(self, bootstrap: str, admin: Any) -> None:
        self.bootstrap = bootstrap
        self._admin = admin

    async def group(self, name: str) -> Group:
        """The group's members and what each has."""
        (response,) = await self._admin.describe_consumer_groups([name])
        (found,) = response.to_object()["groups"]
        if found["error_code"]:
            raise DemoError(f"Kafka: group {name}: {for_code(found['error_code']).__name__}")
        members = {
            one["client_id"]: _assigned(one["member_assignment"]) for one in found["members"]
        }
        return Group(name, found["state"], members)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offset in each partition of the topic where it has one."""
        offsets = await self._admin.list_consumer_group_offsets(group)
        return {
            tp.partition: meta.offset
            for tp, meta in offsets.items()
            if tp.topic == topic and meta.offset >= 0
        }

    async def ends(self, topic: str) -> dict[int, int]:
        """The end of each partition of the topic."""
        async with consumer(self.bootstrap, topic) as reading:
            ends = await reading.end_offsets(reading.assignment())
            return {tp.partition: end for tp, end in ends.items()}

    async def lag(self, group: str, topic: str) -> int:
        """Records of the topic that the group has not committed."""
        done, ends = await self.committed(group, topic), await self.ends(topic)
        return sum(end - done.get(partition, 0) for partition, end in ends.items())

    async def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic of one replica."""
        await self._admin.create_topics([NewTopic(name, partitions, 1)])

    async def forget(self, topic: str, groups: Iterable[str]) -> None:
        """Delete a topic and groups that have no members any more."""
        for group in groups:
            coordinator = await self._admin.find_coordinator(group)
            request = DeleteGroupsRequest([group])
            await self._admin._send_request(request, coordinator)  # noqa: SLF001 (no other way)
        await self._admin.delete_topics([topic])

    async def groups(self) -> set[str]:
        """The names of all groups."""
        return {name for name, *_ in await self._admin.list_consumer_groups()}

    async def topics(self) -> set[str]:
        """The names of all topics."""
        return set(await self._admin.list_topics())


def _assigned(assignment: bytes) -> dict[str, frozenset[int]]:
    if not assignment:
        return {}
    decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    if decoded.user_data:
        # Faust's own: what is assigned besides are standbys of tables.
        metadata = ClientMetadata.loads(zlib.decompress(decoded.user_data))
        return {name: frozenset(some) for name, some in metadata.assignment.actives.items()}
    return {topic: frozenset(partitions) for topic, partitions in decoded.assignment}


def partition_of(key: str, partitions: int) -> int:
    """Where a record of this key goes, by the hash that every Kafka client uses."""
    return int(murmur2(key.encode()) & NO_SIGN) % partitions


def _reached(bootstrap: str) -> dict[str, Any]:
    """The options of a client, as the environment says for those of the system."""
    return client_options(Settings(kafka_bootstrap_servers=bootstrap))


@asynccontextmanager
async def cluster(bootstrap: str) -> AsyncIterator[Cluster]:
    """A connected `Cluster`."""
    admin = AIOKafkaAdminClient(**_reached(bootstrap), request_timeout_ms=REQUEST_MS)
    await admin.start()
    try:
        yield Cluster(bootstrap, admin)
    finally:
        await admin.close()


@asynccontextmanager
async def consumer(bootstrap: str, *topics: str, **options: Any) -> AsyncIterator[Any]:
    """A started consumer; without a group unless the options name one."""
    made = AIOKafkaConsumer(
        *topics,
        **_reached(bootstrap),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=REQUEST_MS,
        **options,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def producer(bootstrap: str) -> AsyncIterator[Any]:
    """A started producer."""
    made = AIOKafkaProducer(**_reached(bootstrap), acks="all", request_timeout_ms=REQUEST_MS)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def records_of(
    bootstrap: str, topic: str, key: str, since_ms: int | None = None
) -> list[Any]:
    """The records of a key in a topic, oldest first; `since_ms`: those written then or later.

    Only the key's partition is read, up to its end now.
    """
    async with consumer(bootstrap, topic) as reading:
        partitions = sorted(reading.assignment())
        where = partitions[partition_of(key, len(partitions))]
        reading.pause(*(other for other in partitions if other != where))
        end = (await reading.end_offsets([where]))[where]
        if since_ms is not None:
            begin = (await reading.offsets_for_times({where: since_ms}))[where]
            reading.seek(where, end if begin is None else begin.offset)
        found = []
        while await reading.position(where) < end:
            for some in (await reading.getmany(timeout_ms=FETCH_MS)).values():
                found += [record for record in some if record.key == key.encode()]
        return found
