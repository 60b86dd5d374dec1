"""Reading the saga's topics from their beginning to their end as of now, as an onlooker.

Without a group and without a commit, so nobody's offset moves. A partition number at a time, of all
topics of the saga together, because an order's events share it; and where it holds more records
than may be in memory at once, several times, each time for another part of the orders.
"""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from app.books_of_log import EndOf, LogAudit, LogBooks, Window
from app.cli.console import UNREACHABLE, CommandError
from app.cli.members import worker_urls
from app.kafka import refusal
from app.operating.broker import Connections
from app.operating.catalogue import Extents, extents
from app.operating.reading import read
from app.saga import Saga
from app.saga_story import logged
from app.settings import Settings
from app.topics import BY_EVENT, GROUP_PREFIX, TopicSpec

# A quarter as many orders, of some 2 kB each: 150 MB.
RECORDS_A_PASS = 300_000
# Read at once; above it, it is seen that the broker still answers, and said how far it has come.
RECORDS_A_PIECE = 20_000
# A broker that is well hands out a piece in a second.
PIECE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
REST_POLL_SECONDS = 0.5
# How far the clocks of those who write may be apart, with room.
SKEW_MS = 60_000
# Of a system that is not at rest: longer than an order takes, and its records to be seen.
UNDER_WAY_MS = 60_000

Advance = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the topics hold, by their names; and whether nobody was at work on it then."""

    topics: Mapping[str, Extents]
    at_rest: bool
    at: int

    @property
    def records(self) -> int:
        """How many records that is."""
        return sum(len(extent) for each in self.topics.values() for extent in each.values())

    @property
    def cut(self) -> bool:
        """Whether retention has deleted any."""
        return any(extent.begin for each in self.topics.values() for extent in each.values())

    def ends(self) -> Mapping[TopicPartition, int]:
        """The end of each partition."""
        return {
            TopicPartition(name, partition): extent.end
            for name, each in self.topics.items()
            for partition, extent in each.items()
        }


def topics_of(saga: Saga) -> dict[str, TopicSpec]:
    """The topics of the saga's events, by name."""
    return {BY_EVENT[name].name: BY_EVENT[name] for name in (*saga.events(), saga.completes)}


class SagaLog:
    """The topics of the saga; made by `opened`.

    Args:
        groups: who writes to them, and so may still be about to.
    """

    def __init__(
        self, consumer: Any, admin: Any, topics: Mapping[str, TopicSpec], groups: tuple[str, ...]
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._topics = topics
        self._groups = groups

    async def snapshot(self, wait: float) -> Snapshot:
        """What the topics hold, as soon as all groups have committed it, or `wait` seconds on.

        A group commits after what it said is in the log. So nobody is at work where all have
        committed up to the ends, and the ends are still the same afterwards.

        Raises:
            CommandError: a topic does not exist.
        """
        give_up = time.monotonic() + wait
        before = await self._look(at_rest=False)
        while True:
            behind = await self._behind(before.ends())
            after = await self._look(at_rest=not behind)
            if (not behind and after.ends() == before.ends()) or time.monotonic() > give_up:
                return after
            before = after
            await asyncio.sleep(REST_POLL_SECONDS)

    async def grown(self, snapshot: Snapshot) -> bool:
        """Whether there is more now."""
        return (await self._look(at_rest=False)).ends() != snapshot.ends()

    async def workers(self, group: str) -> list[str]:
        """Where the members of a group are."""
        return await worker_urls(self._admin, [group])

    async def fold(
        self, snapshot: Snapshot, saga: Saga, end_of: EndOf | None, advance: Advance
    ) -> LogBooks:
        """The books of all orders in the snapshot.

        Raises:
            CommandError: the broker stopped answering.
        """
        books, done = LogBooks(), 0.0
        for partition in sorted({number for each in snapshot.topics.values() for number in each}):
            spans = {
                TopicPartition(name, partition): each[partition]
                for name, each in snapshot.topics.items()
                if partition in each
            }
            parts = max(1, -(-sum(map(len, spans.values())) // RECORDS_A_PASS))
            for part in range(parts):
                audit = LogAudit(saga, books)
                keep = partial(self._keep, audit, parts, part)
                for tp, extent in spans.items():
                    for start in range(extent.begin, extent.end, RECORDS_A_PIECE):
                        piece = range(start, min(start + RECORDS_A_PIECE, extent.end))
                        await self._piece(tp, piece, keep)
                        # Each record is read once for each part.
                        done += len(piece) / parts
                        advance(round(done), "")
                audit.close(await self._window(snapshot, partition), end_of)
        return books

    def _keep(self, audit: LogAudit, parts: int, part: int, record: Any) -> None:
        key = record.key
        if parts == 1 or zlib.crc32(key or b"") % parts == part:
            spec = self._topics[record.topic]
            audit.note(logged(spec, key, record.value, record.headers, record.timestamp))

    async def _piece(self, tp: TopicPartition, piece: range, keep: Callable[[Any], None]) -> None:
        reached = await read(self._consumer, {tp: [piece]}, keep, seconds=PIECE_SECONDS)
        if reached[tp] < piece.stop:
            raise CommandError(
                f"Kafka gave no more of {tp.topic}, partition {tp.partition}, within "
                f"{PIECE_SECONDS:g} s",
                UNREACHABLE,
            )

    async def _window(self, snapshot: Snapshot, partition: int) -> Window:
        """From when on the partition is whole: asked after it was read, since it may be cut while
        it is."""
        until = None if snapshot.at_rest else snapshot.at - UNDER_WAY_MS
        times = []
        for name, each in (await extents(self._consumer, self._topics)).items():
            extent = each.get(partition)
            if extent is None or not extent.begin:
                continue
            found: list[Any] = []
            if len(extent):
                first = range(extent.begin, extent.begin + 1)
                await self._piece(TopicPartition(name, partition), first, found.append)
            times.append(found[0].timestamp if found else _now())
        return Window(max(times) + SKEW_MS if times else None, until)

    async def _look(self, *, at_rest: bool) -> Snapshot:
        found = await extents(self._consumer, self._topics)
        missing = [name for name in self._topics if name not in found]
        if missing:
            raise CommandError(f"there is no topic {' and no '.join(missing)}: faust -A app topics")
        return Snapshot(found, at_rest, _now())

    async def _behind(self, ends: Mapping[TopicPartition, int]) -> int:
        """Records that a group hears and has not committed."""
        behind = 0
        for group in self._groups:
            try:
                committed = await self._admin.list_consumer_group_offsets(group)
            except GroupCoordinatorNotAvailableError:
                committed = {}  # this broker has never had a group
            heard = {tp: known.offset for tp, known in committed.items() if tp in ends}
            # One that has never committed anything has all before it.
            behind += sum(ends[tp] - max(heard.get(tp, 0), 0) for tp in heard or ends)
        return behind


@asynccontextmanager
async def opened(
    settings: Settings,
    topics: Mapping[str, TopicSpec],
    *,
    groups: tuple[str, ...] | None = None,
) -> AsyncIterator[SagaLog]:
    """The log of these topics.

    Args:
        groups: those of the topics' owners, by default.

    Raises:
        CommandError: no broker answers.
    """
    if groups is None:
        groups = tuple({GROUP_PREFIX + spec.owner: None for spec in topics.values()})
    try:
        async with AsyncExitStack() as stack:
            connections = Connections(settings, stack)
            async with asyncio.timeout(CONNECT_SECONDS):
                consumer, admin = await connections.consumer(), await connections.admin()
            yield SagaLog(consumer, admin, topics, groups)
    except (KafkaError, TimeoutError, OSError) as error:
        words = (
            f"Kafka at {settings.kafka_bootstrap_servers}: {str(error) or 'no answer in time'} "
            "(KAFKA_BOOTSTRAP_SERVERS; is the system up? make status)"
        )
        raise CommandError(str(await refusal(settings) or words), UNREACHABLE) from error


def _now() -> int:
    return int(time.time() * 1000)
