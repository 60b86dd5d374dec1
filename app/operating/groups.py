"""The consumer groups: who has which partitions, and how far each is behind."""

import asyncio
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code
from faust.assignor.client_assignment import ClientMetadata

from app.operating import catalogue
from app.operating.broker import Broker
from app.operating.catalogue import Extents
from app.topics import GROUP_PREFIX

Heard = Mapping[str, Sequence[str]]
"""The groups there are, each with the topics that it consumes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process's membership in a group."""

    id: str
    client_id: str
    host: str
    partitions: Sequence[TopicPartition]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group is with a partition; `committed` is None where it has committed nothing."""

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group, in Kafka's words for its state."""

    name: str
    state: str
    members: Sequence[Member]
    partitions: Sequence[Progress]

    @property
    def service(self) -> str:
        """Whose group it is."""
        return self.name.removeprefix(GROUP_PREFIX)

    @property
    def lag(self) -> int:
        """Records that it has not processed."""
        return sum(each.lag for each in self.partitions)


async def groups(broker: Broker, heard: Heard) -> Sequence[Group]:
    """The groups of the system, also those of which no process runs.

    Raises:
        BrokerAwayError: Kafka does not answer.
    """
    topics = {topic for each in heard.values() for topic in each}
    async with broker.asking() as connections:
        consumer, admin = await asyncio.gather(connections.consumer(), connections.admin())
        extents, described, committed = await asyncio.gather(
            catalogue.extents(consumer, topics),
            asyncio.gather(*(_described(admin, name) for name in heard)),
            asyncio.gather(*(admin.list_consumer_group_offsets(name) for name in heard)),
        )
    return [
        Group(
            name,
            description["state"],
            [_member(each, heard[name]) for each in description["members"]],
            list(_progress(heard[name], extents, offsets)),
        )
        for name, description, offsets in zip(heard, described, committed, strict=True)
    ]


async def _described(admin: Any, name: str) -> Mapping[str, Any]:
    # One group a request: of several in one, aiokafka misreads all but the first, because it takes
    # a newer answer (with the operations that are allowed) for an older one.
    (response,) = await admin.describe_consumer_groups([name])
    description: Mapping[str, Any] = response.to_object()["groups"][0]
    if description["error_code"]:
        raise for_code(description["error_code"])
    return description


def _member(description: Mapping[str, Any], topics: Sequence[str]) -> Member:
    assigned = assigned_in(description["member_assignment"])
    return Member(
        description["member_id"],
        description["client_id"],
        description["client_host"].lstrip("/"),
        sorted(tp for tp in assigned if tp.topic in topics),
    )


def assigned_in(assignment: bytes) -> Iterable[TopicPartition]:
    """The partitions that a member processes.

    What Faust's assignor gives out as standbys is for Kafka an assignment like any other.
    """
    if not assignment:
        return []
    decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    try:
        given = ClientMetadata.loads(zlib.decompress(decoded.user_data)).assignment.actives.items()
    except (zlib.error, TypeError, ValueError, KeyError, AttributeError):
        given = decoded.assignment  # by another assignor than ours
    return [TopicPartition(topic, number) for topic, numbers in given for number in numbers]


def _progress(
    topics: Sequence[str],
    extents: Mapping[str, Extents],
    committed: Mapping[TopicPartition, Any],
) -> Iterable[Progress]:
    for topic in topics:
        for partition, extent in extents.get(topic, {}).items():
            known = committed.get(TopicPartition(topic, partition))
            offset = known.offset if known is not None and known.offset >= 0 else None
            # Where nothing is committed, or what was has expired, it will begin with the oldest.
            ahead = extent.end - max(offset or 0, extent.begin)
            yield Progress(topic, partition, offset, extent.end, max(ahead, 0))
