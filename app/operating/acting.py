"""Sending dead letters again, and leaving them be.

A replay sends the original record to where it was: the same bytes, the same headers, the same
partition. So the event keeps its id, and whoever has processed it knows it. It reaches every group
of the topic; those that had processed it give the same answer again.

A letter is claimed, its record sent and acknowledged, and only then the letter marked. Where the
process ends in between, the letter is open again some time later: to send it twice is harmless.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError

from app.operating import catalogue
from app.operating.broker import Broker, BrokerAwayError, Connections
from app.operating.catalogue import Extents
from app.operating.handled import Claim, Handled, State
from app.operating.letterbox import extents_of, records_at
from app.operating.letters import Letter, Place, UnreplayableError, letter_of, place_of
from app.operating.listing import WINDOW
from app.stores.errors import TransientStoreError
from app.stores.mongo import Database
from app.streaming.publisher import OutRecord
from app.topics import BY_NAME

logger = logging.getLogger(__name__)

# What one call replays or discards; the rest is for the next.
ACTED_MOST = 500
# Of them so many are claimed, sent and marked together: within the time limit of a question.
BATCH = 100
# No further batch is begun after this: who waits for the answer gives up after 70 s (the gateway).
ACTED_SECONDS = 20.0
EXPIRED = "It has expired."


@dataclass(slots=True)
class Outcome:
    """What came of a replay or a discard.

    Attributes:
        ids: the letters of which it was done.
        failed: of the others that were asked for, why it was not.
        remaining: letters of the topic that are still open.
    """

    ids: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class _Action:
    """What is done, by whom (None: nobody was asked), and why."""

    state: State
    by: str | None
    why: str | None = None


class Acting:
    """Does something about dead letters."""

    def __init__(self, broker: Broker, database: Database, clock: Callable[[], datetime]) -> None:
        self._broker = broker
        self._handled = Handled(database)
        self._clock = clock

    async def replay(self, topic: str, ids: Sequence[str] | None, *, by: str | None) -> Outcome:
        """Send letters of a dead-letter topic again, `ACTED_MOST` at most; without ids those that
        are open, of each partition the oldest first.

        Raises:
            UnknownTopicError: the topic does not exist.
            BrokerAwayError: Kafka does not answer; nothing is noted as sent.
            TransientStoreError: MongoDB does not answer; what was sent is still open.
        """
        return await self._act(topic, ids, _Action(State.REPLAYED, by))

    async def discard(
        self, topic: str, ids: Sequence[str] | None, *, by: str | None, why: str | None = None
    ) -> Outcome:
        """Note that letters are not to be replayed; else as `replay`."""
        return await self._act(topic, ids, _Action(State.DISCARDED, by, why))

    async def _act(self, topic: str, ids: Sequence[str] | None, action: _Action) -> Outcome:
        outcome = Outcome()
        async with self._broker.asking() as connections:
            extents = (await extents_of(await connections.consumer(), topic))[topic]
        if ids is None:
            places = await self._oldest(topic, extents)
        else:
            places = _named(topic, extents, ids, outcome)
        give_up = time.monotonic() + ACTED_SECONDS
        for start in range(0, len(places), BATCH):
            if time.monotonic() > give_up:
                break
            try:
                await self._batch(places[start : start + BATCH], action, outcome)
            except (BrokerAwayError, TransientStoreError) as error:
                if not outcome.ids:
                    raise
                logger.warning("%s: only some were %s: %s", topic, action.state.value, error)
                break
        outcome.remaining = (await self._handled.counts({topic: extents}))[topic][State.OPEN]
        return outcome

    async def _oldest(self, topic: str, extents: Extents) -> Sequence[Place]:
        """Open letters, in the order of each partition."""
        found: list[Place] = []
        for partition, extent in extents.items():
            begin = extent.begin
            while begin < extent.end and len(found) < ACTED_MOST:
                window = range(begin, min(begin + WINDOW, extent.end))
                done = await self._handled.among(topic, partition, window)
                found += [Place(topic, partition, each) for each in window if each not in done]
                begin = window.stop
        return found[:ACTED_MOST]

    async def _batch(self, places: Sequence[Place], action: _Action, outcome: Outcome) -> None:
        async with self._broker.asking() as connections:
            consumer = await connections.consumer()
            records = await records_at(consumer, places)
            outcome.failed.update((each.id, EXPIRED) for each in places if each not in records)
            letters = [letter_of(records[each]) for each in places if each in records]
            again: Mapping[str, OutRecord] = {}
            if action.state is State.REPLAYED:
                again = await _again(consumer, letters, outcome)
                letters = [letter for letter in letters if letter.id in again]
            claim = await self._handled.claim(letters, by=action.by, now=self._clock())
            outcome.failed.update(claim.refused)
            done = [letter.id for letter in claim.letters]
            if action.state is State.REPLAYED:
                try:
                    done = await _send(connections, claim, again, outcome)
                except BaseException:
                    await self._release(claim, done)
                    raise
        await self._handled.mark(claim, done, action.state, why=action.why, now=self._clock())
        outcome.ids += done
        await self._release(claim, {letter.id for letter in claim.letters} - set(done))

    async def _release(self, claim: Claim, ids: Iterable[str]) -> None:
        try:
            await self._handled.release(claim, ids)
        except TransientStoreError as error:
            logger.warning("dead letters stay claimed for a while: %s", error)


def _named(topic: str, extents: Extents, ids: Iterable[str], outcome: Outcome) -> Sequence[Place]:
    """The places of the letters with these ids, in the order of each partition; why the others are
    none."""
    places: list[Place] = []
    for letter_id in dict.fromkeys(ids):
        place = place_of(letter_id)
        extent = extents.get(place.partition) if place and place.topic == topic else None
        if place is None or extent is None or place.offset >= extent.end:
            outcome.failed[letter_id] = f"There is no such letter in {topic}."
        elif place.offset < extent.begin:
            outcome.failed[letter_id] = EXPIRED
        else:
            places.append(place)
    return sorted(places, key=lambda place: (place.partition, place.offset))


async def _again(
    consumer: Any, letters: Sequence[Letter], outcome: Outcome
) -> Mapping[str, OutRecord]:
    """Of each letter the record to send, fetched from its place where the letter is without it."""
    lacking = [
        each.original
        for each in letters
        if each.without_content and each.original and each.original.topic in BY_NAME
    ]
    extents = await catalogue.extents(consumer, {place.topic for place in lacking})
    there = [
        place
        for place in lacking
        if (extent := extents.get(place.topic, {}).get(place.partition))
        and extent.begin <= place.offset < extent.end
    ]
    originals = await records_at(consumer, there)
    again: dict[str, OutRecord] = {}
    for letter in letters:
        try:
            whole = letter
            if letter.without_content and letter.original is not None:
                whole = _completed(letter, originals.get(letter.original))
            again[letter.id] = whole.again()
        except UnreplayableError as error:
            outcome.failed[letter.id] = str(error)
    return again


def _completed(letter: Letter, original: Any | None) -> Letter:
    if original is None:
        raise UnreplayableError(
            "It was too large to be kept here, and the original has expired in its topic."
        )
    return replace(
        letter,
        key=original.key,
        value=original.value,
        headers=tuple(original.headers),
        without_content=False,
    )


async def _send(
    connections: Connections, claim: Claim, again: Mapping[str, OutRecord], outcome: Outcome
) -> list[str]:
    """Send each record once, however many groups gave it up; the letters that were acknowledged."""
    originals: dict[Place, list[Letter]] = {}
    for letter in claim.letters:
        assert letter.original is not None
        originals.setdefault(letter.original, []).append(letter)
    if not originals:
        return []
    producer = await connections.producer()
    # In their order: the events of an order are in one partition.
    ordered = sorted(originals, key=lambda place: (place.partition, place.offset))
    deliveries = [await _delivery(producer, again[originals[each][0].id]) for each in ordered]
    results = await asyncio.gather(*deliveries, return_exceptions=True)
    faults = {
        place: result
        for place, result in zip(ordered, results, strict=True)
        if isinstance(result, BaseException)
    }
    if len(faults) == len(ordered) and all(
        getattr(fault, "retriable", True) for fault in faults.values()
    ):
        raise next(iter(faults.values()))
    sent: list[str] = []
    for place, letters in originals.items():
        if place not in faults:
            sent += [letter.id for letter in letters]
            continue
        words = f"Kafka did not take it: {faults[place]!r}"
        outcome.failed.update((letter.id, words) for letter in letters)
    return sent


async def _delivery(producer: Any, record: OutRecord) -> "asyncio.Future[Any]":
    try:
        delivery: asyncio.Future[Any] = await producer.send(
            record.topic,
            value=record.value,
            key=record.key,
            partition=record.partition,
            headers=record.headers,
        )
    except KafkaError as error:  # such as one that is too large
        delivery = asyncio.get_running_loop().create_future()
        delivery.set_exception(error)
    return delivery
