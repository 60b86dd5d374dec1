"""The topics that an operator may look into: those of the registry, and how far each reaches.

Others on the same cluster are somebody else's, and are not shown.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiokafka import TopicPartition

from app.events import EventData, MovieEventData, UserActed
from app.operating.broker import Broker
from app.settings import Settings
from app.topics import MOVIE_VIEWS, SPECS, TABLES, TopicSpec


class UnknownTopicError(LookupError):
    """There is no such topic."""


class Kind(StrEnum):
    """What a topic is for."""

    EVENTS = "events"
    INPUT = "input"  # only clients begin what is in it
    DEAD_LETTERS = "deadLetters"
    CHANGELOG = "changelog"


@dataclass(frozen=True, slots=True)
class Described:
    """What the registry says of a topic.

    Attributes:
        key: what its records are keyed by.
        retention_hours: how long they are kept; None: of each key the newest, for ever.
        dead_letters: where its records go that can't be processed.
    """

    name: str
    kind: Kind
    owner: str
    key: str
    retention_hours: int | None
    dead_letters: str | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition holds: the offsets from `begin` up to, and without, `end`."""

    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    def clamp(self, offset: int) -> int:
        """The nearest offset that can be read from; `end`, where only the next record is newer."""
        return min(max(offset, self.begin), self.end)


Extents = Mapping[int, Extent]
"""Of each partition, what it holds."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now."""

    about: Described
    partitions: Extents

    @property
    def messages(self) -> int:
        """How many it holds; of a changelog, as if none had been compacted away."""
        return sum(map(len, self.partitions.values()))


def registry(settings: Settings) -> Mapping[str, Described]:
    """The topics of the system, by name: events first, then dead letters, then changelogs."""
    hours, dead_hours = settings.topic_retention_hours, settings.dead_letter_retention_hours
    events = [
        Described(spec.name, _kind(spec), spec.owner, key_of(spec), hours, spec.dead_letters)
        for spec in SPECS
    ]
    dead = [
        Described(spec.dead_letters, Kind.DEAD_LETTERS, spec.owner, key_of(spec), dead_hours)
        for spec in SPECS
    ]
    changelogs = [
        Described(table.changelog, Kind.CHANGELOG, table.service, "tableKey", None)
        for table in TABLES
    ]
    return {each.name: each for each in (*events, *dead, *changelogs)}


def _kind(spec: TopicSpec) -> Kind:
    return Kind.INPUT if spec is MOVIE_VIEWS else Kind.EVENTS


def key_of(spec: TopicSpec) -> str:
    """What the records of a topic are keyed by, as their data calls it."""
    data: type[EventData] = spec.events[0]
    if issubclass(data, UserActed):
        return "userId"
    return "movieId" if issubclass(data, MovieEventData) else "orderId"


async def topics(broker: Broker, settings: Settings) -> Sequence[Topic]:
    """The registry's topics that exist.

    Raises:
        BrokerAwayError: Kafka does not answer.
    """
    known = registry(settings)
    async with broker.asking() as connections:
        found = await extents(await connections.consumer(), known)
    return [Topic(known[name], found[name]) for name in known if name in found]


async def extents(consumer: Any, names: Iterable[str]) -> Mapping[str, Extents]:
    """What each partition of the topics holds; a topic that does not exist is left out."""
    # All topics are asked for: to ask for one by name may create it, where the broker is so set.
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 (no other way without it)
    partitions = [
        TopicPartition(name, partition)
        for name in names
        for partition in sorted(cluster.partitions_for_topic(name) or ())
    ]
    if not partitions:
        return {}
    await consumer._client.set_topics({tp.topic for tp in partitions})  # noqa: SLF001
    begins, ends = await asyncio.gather(
        consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    )
    found: dict[str, dict[int, Extent]] = {}
    for tp in partitions:
        found.setdefault(tp.topic, {})[tp.partition] = Extent(begins[tp], ends[tp])
    return found
