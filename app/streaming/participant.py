"""The participant loop: join waiting chunks to a batch, handle it, publish, finish.

Chunks wait in lanes. A lane works on one batch at a time and takes into the next all that came
meanwhile, so batches grow with the load and an order alone is a batch of one; lanes work side by
side. Records of one partition keep their order.

A batch is finished only when its effects are durable and what it emits is acknowledged. Until then:

- a transient fault (store away, lock taken, broker away) holds the lane: the whole batch is handled
  again after a wait, as often as it takes, and nothing is dropped;
- a record that can't be decoded goes to the dead letters at once;
- any other failure is retried a bounded number of times, then the batch is halved again and again
  until the record that fails is alone, and goes to the dead letters;
- a batch that meets transient faults only is halved as well, in case it is too much at once; each
  part is then handled as often as it takes.

Handling must therefore give the same result when it is done again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from app.streaming import dead_letters
from app.streaming.chunk import Chunk
from app.streaming.dead_letters import UNDECODABLE, UNPROCESSABLE, DeadLetter
from app.streaming.observers import Observer
from app.streaming.publisher import OutRecord, PublishError, UnsendableError
from app.streaming.retry import Backoff, cancelled_elsewhere

E = TypeVar("E")
logger = logging.getLogger(__name__)

Decode = Callable[[Any], E]
DecodeAll = Callable[[Sequence[Any]], Sequence[E]]
Handle = Callable[[Sequence[E]], Awaitable[Sequence[OutRecord]]]
Publish = Callable[[Sequence[OutRecord]], Awaitable[None]]


def lane_of_partition(chunk: Chunk) -> Hashable:
    """A lane a partition number, shared by all topics, so co-partitioned records don't race."""
    return chunk.partition


def lane_of_topic_partition(chunk: Chunk) -> Hashable:
    """A lane a partition of each topic, for batches that hold one partition's records alone."""
    return chunk.topic, chunk.partition


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the loop.

    Attributes:
        batch_records: a batch takes no further chunk once it holds so many records.
        batch_bytes: or so many bytes of values.
        waiting_records: chunks are taken from Faust while fewer records wait in a lane,
        waiting_bytes: and fewer bytes of values.
        attempts: tries at a batch that fails for no transient reason, before it is halved.
        transient_attempts: tries at a batch that meets transient faults, before it is halved.
        attempt_seconds: one try at a batch; longer is a transient fault.
    """

    batch_records: int = 1000
    batch_bytes: int = 2_000_000
    waiting_records: int = 3000
    waiting_bytes: int = 8_000_000
    attempts: int = 3
    transient_attempts: int = 4
    attempt_seconds: float = 90.0


class _RevokedError(Exception):
    """The batch's partitions are being taken away: drop it, it will be delivered again."""


@dataclass(eq=False, slots=True)
class _Lane:
    waiting: deque[Chunk] = field(default_factory=deque)
    records: int = 0
    size: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)


class Participant(Generic[E]):
    """Processes the chunks of one consumer group.

    Args:
        name: the consumer group, for logs and dead letters.
        decode: makes an event of a record; raises `undecodable` for one that is none.
        decode_all: makes events of a chunk's records; raises `undecodable` where it can't, and they
            are decoded one by one. For those who are quicker with many.
        handle: processes events in order and returns what to publish; its effects must be durable
            when it returns, and repeating it must be harmless.
        publish: sends records and returns when all are acknowledged.
        transient: errors of `handle` that pass by themselves.
        undecodable: the errors of `decode`, and of `handle` where it sees more, that say a record
            is no event.
        lane: chunks of the same lane are processed one batch after the other.
        on_fatal: called with an error of the loop itself; must end the process.
    """

    def __init__(
        self,
        *,
        name: str,
        decode: Decode[E],
        decode_all: DecodeAll[E] | None = None,
        handle: Handle[E],
        publish: Publish,
        on_fatal: Callable[[BaseException], None],
        transient: tuple[type[BaseException], ...] = (),
        undecodable: tuple[type[Exception], ...] = (ValueError,),
        lane: Callable[[Chunk], Hashable] = lane_of_partition,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.name = name
        self._decode = decode
        self._decode_all = decode_all
        self._handle = handle
        self._publish = publish
        self._on_fatal = on_fatal
        self._transient: tuple[type[BaseException], ...] = (
            *transient,
            PublishError,
            TimeoutError,
            ConnectionError,
        )
        self._undecodable = undecodable
        self._lane = lane
        self._limits = limits or Limits()
        self._backoff = backoff or Backoff()
        self._observer = observer or Observer()

    async def run(self, stream: Any) -> None:
        """Process the chunks of a Faust stream until it ends or is cancelled."""
        lanes: dict[Hashable, _Lane] = {}
        async with asyncio.TaskGroup() as tasks:
            workers = []
            try:
                async for event in stream.events():
                    chunk: Chunk = event.value
                    key = self._lane(chunk)
                    if key not in lanes:
                        lanes[key] = _Lane()
                        workers.append(tasks.create_task(self._work(lanes[key])))
                    await self._put(lanes[key], chunk)
            finally:
                for worker in workers:
                    worker.cancel()

    async def _put(self, lane: _Lane, chunk: Chunk) -> None:
        limits = self._limits
        while lane.records >= limits.waiting_records or lane.size >= limits.waiting_bytes:
            lane.taken.clear()
            await lane.taken.wait()
        lane.waiting.append(chunk)
        lane.records += len(chunk.records)
        lane.size += chunk.size
        lane.arrived.set()

    async def _work(self, lane: _Lane) -> None:
        while True:
            await lane.arrived.wait()
            batch = self._take(lane)
            try:
                if batch:
                    await self._process(batch)
            except asyncio.CancelledError:
                self._abandon(batch)
                raise
            except _RevokedError:
                self._abandon(batch)
            except BaseException as error:
                self._abandon(batch)
                logger.critical("%s: the participant loop failed", self.name, exc_info=True)
                self._on_fatal(error)

    def _take(self, lane: _Lane) -> list[Chunk]:
        """All that waits, up to a batch, without what is no longer ours."""
        batch: list[Chunk] = []
        records = size = 0
        limits = self._limits
        while lane.waiting and records < limits.batch_records and size < limits.batch_bytes:
            chunk = lane.waiting.popleft()
            lane.records -= len(chunk.records)
            lane.size -= chunk.size
            if chunk.claim():
                batch.append(chunk)
                records += len(chunk.records)
                size += chunk.size
        if not lane.waiting:
            lane.arrived.clear()
        lane.taken.set()
        return batch

    def _abandon(self, batch: Sequence[Chunk]) -> None:
        for chunk in batch:
            chunk.abandon()

    async def _process(self, batch: Sequence[Chunk]) -> None:
        records: list[Any] = []
        events: list[E] = []
        letters: list[DeadLetter] = []
        for chunk in batch:
            of, decoded = self._decoded(chunk, letters)
            records += of
            events += decoded
        emitted = await self._attempt(batch, records, events)
        await self._bury(batch, letters)
        for chunk in batch:
            chunk.finish()
        self._observer.on_batch(batch, emitted)

    def _decoded(
        self, chunk: Chunk, letters: list[DeadLetter]
    ) -> tuple[Sequence[Any], Sequence[E]]:
        """The chunk's records that are events, and the events; the others are among the letters."""
        if self._decode_all is not None:
            with suppress(*self._undecodable):
                return chunk.records, self._decode_all(chunk.records)
        records, events = [], []
        for record in chunk.records:
            try:
                events.append(self._decode(record))
                records.append(record)
            except self._undecodable as error:
                letters.append(DeadLetter(record, UNDECODABLE, str(error), self.name))
        return records, events

    async def _attempt(
        self, batch: Sequence[Chunk], records: Sequence[Any], events: Sequence[E]
    ) -> int:
        """Handle and publish; returns how many records were published."""
        if not events:
            return 0
        failures = faults = 0
        for wait in self._backoff.waits():
            try:
                with cancelled_elsewhere():
                    async with asyncio.timeout(self._limits.attempt_seconds):
                        out = await self._handle(events)
                    self._require_held(batch)
                    await self._publish(out)
                return len(out)
            except self._transient as error:
                faults += 1
                self._observer.on_retry(error)
                logger.warning(
                    "%s: %d records held: %s: %s",
                    self.name,
                    len(events),
                    type(error).__name__,
                    error,
                )
            except _RevokedError:
                raise
            except Exception as error:
                failures += 1
                logger.exception("%s: handling %d records failed", self.name, len(events))
                # What is no event will not become one by trying again.
                hopeless = isinstance(error, self._undecodable)
                if hopeless or failures >= self._limits.attempts:
                    return await self._isolate(batch, records, events, error)
                self._observer.on_retry(error)
            await self._hold(batch, wait)
            if faults >= self._limits.transient_attempts and len(events) > 1:
                return await self._halve(batch, records, events)
        raise AssertionError("the waits between attempts have no end")

    async def _halve(
        self, batch: Sequence[Chunk], records: Sequence[Any], events: Sequence[E]
    ) -> int:
        half = len(events) // 2
        first = await self._attempt(batch, records[:half], events[:half])
        return first + await self._attempt(batch, records[half:], events[half:])

    async def _isolate(
        self,
        batch: Sequence[Chunk],
        records: Sequence[Any],
        events: Sequence[E],
        error: Exception,
    ) -> int:
        if len(events) == 1:
            detail = f"{type(error).__name__}: {error}"
            reason = UNDECODABLE if isinstance(error, self._undecodable) else UNPROCESSABLE
            await self._bury(batch, [DeadLetter(records[0], reason, detail, self.name)])
            return 0
        return await self._halve(batch, records, events)

    async def _bury(self, batch: Sequence[Chunk], letters: Sequence[DeadLetter]) -> None:
        """Send dead letters, as often as it takes: a record is never dropped."""
        if not letters:
            return
        for letter in letters:
            await self._bury_one(batch, letter)
            dead_letters.logger.error(
                "%s: dead letter: %s-%d at %d: %s: %s",
                self.name,
                letter.record.topic,
                letter.record.partition,
                letter.record.offset,
                letter.reason,
                letter.detail,
            )
            self._observer.on_dead_letter(letter)

    async def _bury_one(self, batch: Sequence[Chunk], letter: DeadLetter) -> None:
        record = letter.out()
        for wait in self._backoff.waits():
            try:
                with cancelled_elsewhere():
                    return await self._publish([record])
            except UnsendableError:
                record = letter.without_content()
            except self._transient as error:
                self._observer.on_retry(error)
                logger.warning("%s: a dead letter is held: %s", self.name, error)
            await self._hold(batch, wait)
        return None

    async def _hold(self, batch: Sequence[Chunk], wait: float) -> None:
        """Wait before the next attempt, unless the partitions are being taken away."""
        self._require_open(batch)
        await asyncio.sleep(wait)
        self._require_open(batch)

    def _require_open(self, batch: Sequence[Chunk]) -> None:
        """Another attempt may begin only while work may begin at all, and the batch is ours."""
        self._require_held(batch)
        if batch[0].tracker.closed:
            raise _RevokedError

    def _require_held(self, batch: Sequence[Chunk]) -> None:
        """A batch of which nothing is ours any more must not be gone on with: whoever has its
        partitions now is doing it."""
        if not any(chunk.held for chunk in batch):
            raise _RevokedError
