"""Listing dead letters, newest first, with what was done about each.

A page is found from its end: which offsets hold letters in the state that is asked for is known
from MongoDB alone, so of Kafka only the page itself is read.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import TopicPartition

from app.operating.broker import Broker
from app.operating.catalogue import Extents
from app.operating.handled import Done, Handled, State
from app.operating.letterbox import TOPICS, UnknownLetterError, extents_of, read_at, records_at
from app.operating.letters import Letter, letter_of, place_of
from app.operating.messages import VALUES_BYTES
from app.stores.mongo import Database

# Offsets that are looked through for letters in the state that is asked for: at first as many as
# may hold a page, then twice as many each time. A page is found behind 100,000 others.
WINDOW_FIRST = 100
WINDOW = 5000
WINDOWS_MOST = 26
# Partitions with letters that a cursor can hold.
PARTITIONS_MOST = 300

Bounds = Mapping[TopicPartition, int]
"""Of each partition with letters, the offset before which the next page begins."""


class TooManyPartitionsError(Exception):
    """Letters are in more partitions than one list can show."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter, what was done about it, and how often its like was replayed before.

    Attributes:
        letter: with as much of its value as there is room for.
        size: bytes of the whole value.
    """

    letter: Letter
    identity: str
    size: int
    done: Done | None = None
    replays: int = 0

    @property
    def state(self) -> State:
        """How the letter stands."""
        return self.done.state if self.done else State.OPEN


@dataclass(frozen=True, slots=True)
class Page:
    """Letters, newest first.

    Attributes:
        counts: of each topic, the letters in each state.
        bounds: where the next page goes on; empty where there is none.
    """

    letters: Sequence[Shown]
    counts: Mapping[str, Counter[State]]
    bounds: Bounds


class Listing:
    """The dead letters of the system, to be looked at."""

    def __init__(self, broker: Broker, database: Database) -> None:
        self._broker = broker
        self._handled = Handled(database)

    async def page(
        self,
        topic: str | None = None,
        *,
        state: State | None = None,
        limit: int,
        bounds: Bounds | None = None,
    ) -> Page:
        """At most `limit` letters of a dead-letter topic, or of all.

        Args:
            bounds: those of the page before.

        Raises:
            UnknownTopicError: the topic does not exist.
            TooManyPartitionsError: a topic must be named.
            BrokerAwayError: Kafka does not answer.
            TransientStoreError: MongoDB does not answer.
        """
        async with self._broker.asking() as connections:
            consumer = await connections.consumer()
            extents = await extents_of(consumer, topic)
            before = _clamped(bounds, extents)
            if len(before) > PARTITIONS_MOST:
                raise TooManyPartitionsError
            found = await asyncio.gather(
                *(
                    self._candidates(tp, extents[tp.topic][tp.partition].begin, end, state, limit)
                    for tp, end in before.items()
                )
            )
            offsets = {tp: each for tp, (each, _) in zip(before, found, strict=True)}
            shown = await _shown(consumer, offsets, limit)
        page = list(heapq.merge(*shown.values(), key=lambda one: -one.letter.timestamp))[:limit]
        left = {
            tp: end
            for tp, (_, examined) in zip(before, found, strict=True)
            if (end := _following(shown[tp], page, before[tp], examined))
            > extents[tp.topic][tp.partition].begin
        }
        return Page(await self._told(page), await self._handled.counts(extents), left)

    async def get(self, letter_id: str) -> Shown:
        """The letter of this id, whole.

        Raises:
            UnknownLetterError: there is no such letter, or not any more.
            BrokerAwayError: Kafka does not answer.
            TransientStoreError: MongoDB does not answer.
        """
        place = place_of(letter_id)
        if place is None or place.topic not in TOPICS:
            raise UnknownLetterError(letter_id)
        async with self._broker.asking() as connections:
            consumer = await connections.consumer()
            extent = (await extents_of(consumer, place.topic))[place.topic].get(place.partition)
            if extent is None or not extent.begin <= place.offset < extent.end:
                raise UnknownLetterError(letter_id)
            records = await records_at(consumer, [place])
        if place not in records:
            raise UnknownLetterError(letter_id)
        return (await self._told([_one(records[place], VALUES_BYTES)]))[0]

    async def _candidates(
        self, tp: TopicPartition, begin: int, end: int, state: State | None, limit: int
    ) -> tuple[Sequence[int], int]:
        """The newest letters before `end` in the state, and the offset down to which was looked."""
        found: list[int] = []
        for nth in range(WINDOWS_MOST):
            size = min(max(WINDOW_FIRST, limit) << nth, WINDOW)
            window = range(max(begin, end - size), end)
            done = await self._handled.among(tp.topic, tp.partition, window) if state else {}
            for offset in reversed(window):
                end = offset
                if state is None or done.get(offset, State.OPEN) is state:
                    found.append(offset)
                    if len(found) == limit:
                        return found, end
            if end <= begin:
                break
        return found, end

    async def _told(self, shown: Sequence[Shown]) -> Sequence[Shown]:
        """The letters, with what was done about them."""
        done, replayed = await asyncio.gather(
            self._handled.of(one.letter.id for one in shown),
            self._handled.replayed(one.identity for one in shown),
        )
        return [
            replace(
                one,
                done=done.get(one.letter.id),
                replays=sum(
                    offset < one.letter.place.offset for offset in replayed.get(one.identity, ())
                ),
            )
            for one in shown
        ]


def _clamped(bounds: Bounds | None, extents: Mapping[str, Extents]) -> Bounds:
    """The bounds within what the partitions hold now; where none are given, those of all."""
    if bounds is None:
        bounds = {
            TopicPartition(topic, number): extent.end
            for topic, partitions in extents.items()
            for number, extent in partitions.items()
        }
    clamped = {
        tp: extents[tp.topic][tp.partition].clamp(end)
        for tp, end in bounds.items()
        if tp.partition in extents.get(tp.topic, {})
    }
    return {tp: end for tp, end in clamped.items() if end > extents[tp.topic][tp.partition].begin}


def _following(found: Sequence[Shown], page: Sequence[Shown], before: int, examined: int) -> int:
    """Where the next page of a partition goes on, of which `found` was found, newest first."""
    ids = {one.letter.id for one in page}
    shown = [one for one in found if one.letter.id in ids]
    if len(shown) == len(found):
        return examined
    return shown[-1].letter.place.offset if shown else before


async def _shown(
    consumer: Any, offsets: Mapping[TopicPartition, Sequence[int]], limit: int
) -> Mapping[TopicPartition, Sequence[Shown]]:
    """The letters at the offsets, of each partition newest first."""
    wanted = {tp: frozenset(each) for tp, each in offsets.items()}
    found: dict[TopicPartition, list[Shown]] = {tp: [] for tp in offsets}
    share = VALUES_BYTES // limit

    def keep(record: Any) -> None:
        tp = TopicPartition(record.topic, record.partition)
        if record.offset in wanted[tp]:
            found[tp].append(_one(record, share))

    await read_at(consumer, offsets, keep)
    return {tp: each[::-1] for tp, each in found.items()}


def _one(record: Any, most: int) -> Shown:
    """A letter as it is kept until it is shown: named after its whole value."""
    letter = letter_of(record)
    value = letter.value
    short = letter if value is None else replace(letter, value=value[:most])
    return Shown(short, letter.identity, len(value or b""))
