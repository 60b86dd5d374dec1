"""The messages of a topic, a page at a time."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from app.operating import catalogue
from app.operating.broker import Broker
from app.operating.catalogue import Extent, UnknownTopicError
from app.operating.reading import read

# Within the time limit of a question, so that what was read by then is answered.
READ_SECONDS = 4.0
# Values of one answer, shared out over its messages: a message alone is shown whole, of 200 each
# up to 10 kB.
VALUES_BYTES = 2_000_000
TYPE_HEADER = "ce_type"


class UnknownPartitionError(LookupError):
    """The topic has no such partition; says which it has."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record, with as much of its value as there is room for.

    Attributes:
        timestamp: ms since the epoch, as its producer said.
        size: bytes of the whole value.
    """

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    size: int

    @property
    def truncated(self) -> bool:
        """Whether `value` is only its beginning."""
        return len(self.value or b"") < self.size

    @property
    def type(self) -> str | None:
        """The event's name, where it says one."""
        for name, content in self.headers:
            if name == TYPE_HEADER and content is not None:
                return text(content)
        return None


@dataclass(frozen=True, slots=True)
class PartitionPage:
    """A partition, and the offset at which the next page of it begins."""

    partition: int
    extent: Extent
    next_offset: int


@dataclass(frozen=True, slots=True)
class Page:
    """Messages in the order of their times, those of each partition in its own."""

    partitions: Sequence[PartitionPage]
    messages: Sequence[Message]


async def messages(
    broker: Broker,
    topic: str,
    *,
    partition: int | None = None,
    offset: int | None = None,
    limit: int,
) -> Page:
    """At most `limit` messages from `offset` on; without it, the newest.

    Args:
        partition: only of this one; without it, of all.
        offset: one before the oldest message is the oldest's, one after the newest is the end.

    Raises:
        UnknownTopicError: the topic does not exist.
        UnknownPartitionError: it has no such partition.
        BrokerAwayError: Kafka does not answer.
    """
    async with broker.asking() as connections:
        consumer = await connections.consumer()
        extents = (await catalogue.extents(consumer, [topic])).get(topic)
        if extents is None:
            raise UnknownTopicError(topic)
        if partition is not None:
            if partition not in extents:
                raise UnknownPartitionError(f"{topic} has the partitions 0 to {len(extents) - 1}.")
            extents = {partition: extents[partition]}
        starts = {
            number: extent.clamp(extent.end - limit if offset is None else offset)
            for number, extent in extents.items()
        }
        return await _page(consumer, topic, extents, starts, limit, newest=offset is None)


async def _page(
    consumer: Any,
    topic: str,
    extents: Mapping[int, Extent],
    starts: Mapping[int, int],
    limit: int,
    *,
    newest: bool,
) -> Page:
    share = VALUES_BYTES // limit
    found: dict[int, list[Message]] = {number: [] for number in starts}
    spans = {
        TopicPartition(topic, number): [range(start, min(start + limit, extents[number].end))]
        for number, start in starts.items()
        if start < extents[number].end
    }
    reached = await read(
        consumer,
        spans,
        lambda record: found[record.partition].append(shown(record, share)),
        seconds=READ_SECONDS,
    )
    merged = list(heapq.merge(*found.values(), key=lambda each: each.timestamp))
    kept = merged[-limit:] if newest else merged[:limit]
    following = {
        number: reached.get(TopicPartition(topic, number), s) for number, s in starts.items()
    }
    for left in merged[len(kept) :] if not newest else ():
        following[left.partition] = min(following[left.partition], left.offset)
    return Page(
        [PartitionPage(number, extents[number], following[number]) for number in starts], kept
    )


def shown(record: Any, most: int) -> Message:
    """The message of a record, with `most` bytes of its value."""
    value = record.value
    return Message(
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        value if value is None else value[:most],
        tuple(record.headers),
        len(value or b""),
    )


def text(content: bytes) -> str:
    """The bytes as text; those that are none as `\\xff`."""
    return content.decode(errors="backslashreplace")
