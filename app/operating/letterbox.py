"""The dead-letter topics, and the records in them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from app.operating import catalogue
from app.operating.catalogue import Extents, UnknownTopicError
from app.operating.letters import Place
from app.operating.messages import READ_SECONDS
from app.operating.reading import read, spans_of
from app.streaming.dead_letters import SUFFIX
from app.topics import BY_NAME, SPECS

TOPICS = tuple(spec.dead_letters for spec in SPECS)
# Letters in between that are read over rather than sought past: they cost less than the seek.
GAP = 100


class UnknownLetterError(LookupError):
    """There is no such letter, or not any more."""


def dead_letters_of(topic: str) -> str:
    """The dead-letter topic, by its own name or that of the topic whose letters it takes.

    Raises:
        UnknownTopicError: there is none.
    """
    name = topic + SUFFIX if topic in BY_NAME else topic
    if name not in TOPICS:
        raise UnknownTopicError(topic)
    return name


async def extents_of(consumer: Any, topic: str | None) -> Mapping[str, Extents]:
    """What the dead-letter topic holds, or all of them.

    Raises:
        UnknownTopicError: there is no such topic.
    """
    found = await catalogue.extents(consumer, TOPICS if topic is None else [topic])
    if topic is not None and topic not in found:
        raise UnknownTopicError(topic)
    return found


async def records_at(consumer: Any, places: Iterable[Place]) -> Mapping[Place, Any]:
    """The records at these places; those that are not there (any more) are left out.

    Raises:
        TimeoutError: they could not all be read in time.
    """
    wanted = frozenset(places)
    found: dict[Place, Any] = {}
    offsets: dict[TopicPartition, list[int]] = {}
    for place in wanted:
        offsets.setdefault(TopicPartition(place.topic, place.partition), []).append(place.offset)

    def keep(record: Any) -> None:
        place = Place(record.topic, record.partition, record.offset)
        if place in wanted:
            found[place] = record

    await read_at(consumer, offsets, keep)
    return found


async def read_at(
    consumer: Any, offsets: Mapping[TopicPartition, Sequence[int]], keep: Callable[[Any], None]
) -> None:
    """Hand the records at the offsets to `keep`, and some that lie between them.

    Raises:
        TimeoutError: they could not all be read in time.
    """
    spans = {tp: spans_of(each, gap=GAP) for tp, each in offsets.items() if each}
    reached = await read(consumer, spans, keep, seconds=READ_SECONDS)
    if any(reached[tp] < each[-1].stop for tp, each in spans.items()):
        raise TimeoutError("not all letters could be read in time")
