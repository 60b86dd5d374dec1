"""The participant loop on chunks made by hand: no broker, no clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from app.streaming import (
    Backoff,
    Chunk,
    CommitTracker,
    DeadLetter,
    Limits,
    Observer,
    OutRecord,
    Participant,
    PublishError,
    UnsendableError,
)
from app.streaming.chunk import sizes, split

pytestmark = pytest.mark.timeout(60)
# Of the event loop: far more than a lane needs for a batch and its retries.
TURNS = 1000
NO_WAIT = Backoff(uniform=lambda low, high: 0.0)


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    value: bytes
    key: bytes = b"key"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


@dataclass
class Event:
    value: Chunk


@dataclass
class World:
    """Chunks go in by `deliver`; `handle` and `publish` note what they were given."""

    limits: Limits = field(default_factory=Limits)
    tracker: CommitTracker[Any] = field(default_factory=CommitTracker)
    queue: asyncio.Queue[Chunk] = field(default_factory=asyncio.Queue)
    batches: list[list[bytes]] = field(default_factory=list)
    published: list[OutRecord] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    retries: list[BaseException] = field(default_factory=list)
    fatal: asyncio.Event = field(default_factory=asyncio.Event)
    next: dict[int, int] = field(default_factory=dict)
    before_handle: Callable[[list[bytes]], Awaitable[None]] | None = None
    before_publish: Callable[[Sequence[OutRecord]], Awaitable[None]] | None = None

    def deliver(self, *values: bytes, partition: int = 0) -> Chunk:
        first = self.next.get(partition, 0)
        self.next[partition] = first + len(values)
        records = tuple(Record("in", partition, first + n, value) for n, value in enumerate(values))
        ticket = self.tracker.open(partition, first, first + len(values) - 1)
        chunk = Chunk("in", partition, records, ticket, self.tracker, sum(sizes(records)))
        self.queue.put_nowait(chunk)
        return chunk

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield Event(await self.queue.get())

    def decode(self, record: Record) -> bytes:
        if record.value == b"undecodable":
            raise ValueError("it says so itself")
        if record.value == b"breaks the loop":
            raise TypeError("not an error that a decoder may raise")
        return record.value

    async def handle(self, events: Sequence[bytes]) -> list[OutRecord]:
        self.batches.append(list(events))
        if self.before_handle:
            await self.before_handle(list(events))
        if b"unprocessable" in events:
            raise RuntimeError("never")
        return [OutRecord("out", None, value) for value in events]

    async def publish(self, records: Sequence[OutRecord]) -> None:
        if self.before_publish:
            await self.before_publish(records)
        self.published.extend(records)

    def participant(self, **options: Any) -> Participant[bytes]:
        return Participant(
            name="group",
            decode=self.decode,
            handle=self.handle,
            publish=self.publish,
            on_fatal=lambda error: self.fatal.set(),
            transient=(LookupError,),
            limits=self.limits,
            backoff=NO_WAIT,
            **{
                "observer": Observer(
                    on_dead_letter=self.letters.append, on_retry=self.retries.append
                ),
                **options,
            },
        )

    async def run_until(self, condition: Callable[[], bool], **options: Any) -> None:
        running = asyncio.create_task(self.participant(**options).run(self))
        try:
            while not condition() and not running.done():
                await asyncio.sleep(0)
            if running.done():
                running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def committable(self, *partitions: int) -> bool:
        """Whether all that was delivered may be committed."""
        ends = self.tracker.committable()
        return all(ends.get(p) == self.next[p] for p in partitions or self.next)

    @property
    def out(self) -> list[bytes | None]:
        return [r.value for r in self.published if r.topic == "out"]


async def test_chunks_that_wait_join_one_batch_and_finish_together() -> None:
    world = World()
    world.deliver(b"1", b"2")
    world.deliver(b"3")
    await world.run_until(world.committable)
    assert [[b"1", b"2", b"3"]] == world.batches
    assert [b"1", b"2", b"3"] == world.out


async def test_a_batch_takes_no_further_chunk_once_it_is_full() -> None:
    world = World(limits=Limits(batch_records=2))
    for value in (b"1", b"2", b"3", b"4", b"5"):
        world.deliver(value)
    await world.run_until(world.committable)
    assert [[b"1", b"2"], [b"3", b"4"], [b"5"]] == world.batches


async def test_partitions_go_side_by_side_unless_they_share_a_lane() -> None:
    world = World()
    gate = asyncio.Event()

    async def first_partition_waits(events: list[bytes]) -> None:
        if b"slow" in events:
            await gate.wait()

    world.before_handle = first_partition_waits
    world.deliver(b"slow", partition=0)
    world.deliver(b"quick", partition=1)
    await world.run_until(lambda: world.committable(1))
    assert not world.committable(0)

    together = World()
    together.deliver(b"1", partition=0)
    together.deliver(b"2", partition=1)
    await together.run_until(together.committable, lane=lambda chunk: "all")
    assert [[b"1", b"2"]] == together.batches


async def test_a_transient_fault_holds_the_batch_until_it_passes() -> None:
    world = World()

    async def away_three_times(events: list[bytes]) -> None:
        if len(world.batches) <= 3:
            raise LookupError("away")

    world.before_handle = away_three_times
    world.deliver(b"1")
    await world.run_until(world.committable)
    assert [[b"1"]] * 4 == world.batches
    assert 3 == len(world.retries)
    assert [b"1"] == world.out
    assert [] == world.letters


async def test_what_was_cancelled_elsewhere_is_a_fault_that_passes_and_not_the_lanes_end() -> None:
    world = World()
    replies = [asyncio.get_running_loop().create_future() for _ in range(2)]

    async def wait_for_a_reply(what: object) -> None:
        if replies:
            reply = replies.pop()
            reply.cancel()
            await reply

    world.before_handle = world.before_publish = wait_for_a_reply
    world.deliver(b"1")
    turns = count()
    await world.run_until(lambda: world.committable() or next(turns) > TURNS)
    assert [b"1"] == world.out
    assert [ConnectionAbortedError] * 2 == [type(error) for error in world.retries]


async def test_every_observer_is_told_of_each_try_that_is_made_again_and_of_the_batch() -> None:
    world = World()
    told: list[object] = []
    first = Observer(on_batch=lambda chunks, emitted: told.append(emitted))
    second = Observer(on_retry=lambda error: told.append(type(error)))

    async def fails_twice(events: list[bytes]) -> None:
        if len(world.batches) <= 2:
            raise LookupError("away") if len(world.batches) == 1 else RuntimeError("a fault")

    world.before_handle = fails_twice
    world.deliver(b"1", b"2")
    await world.run_until(world.committable, observer=Observer.together(first, second))
    assert [LookupError, RuntimeError, 2] == told


async def test_what_was_not_acknowledged_is_handled_and_published_again() -> None:
    world = World()
    refusals = [PublishError("no"), PublishError("no")]

    async def refuse(records: Sequence[OutRecord]) -> None:
        assert not world.tracker.committable()
        if refusals:
            raise refusals.pop()

    world.before_publish = refuse
    world.deliver(b"1", b"2")
    await world.run_until(world.committable)
    assert [[b"1", b"2"]] * 3 == world.batches
    assert [b"1", b"2"] == world.out


async def test_an_undecodable_record_goes_to_the_dead_letters_and_the_rest_goes_on() -> None:
    world = World()
    world.deliver(b"1", b"undecodable", b"2")
    await world.run_until(world.committable)
    assert [b"1", b"2"] == world.out
    assert [("undecodable", 1)] == [(x.reason, x.record.offset) for x in world.letters]
    assert ["in.dlq"] == [r.topic for r in world.published if r.topic != "out"]


async def test_what_handling_finds_to_be_no_event_is_not_tried_again() -> None:
    world = World()

    async def look(events: list[bytes]) -> None:
        if b"no event" in events:
            raise ValueError("it looked like one")

    world.before_handle = look
    world.deliver(b"good", b"no event")
    await world.run_until(world.committable)

    assert ["undecodable"] == [letter.reason for letter in world.letters]
    assert [b"no event"] == [letter.record.value for letter in world.letters]
    assert [b"good"] == world.out
    assert [] == world.retries


async def test_the_record_that_fails_for_good_is_found_by_halving_and_order_is_kept() -> None:
    world = World(limits=Limits(attempts=2))
    values = [b"%d" % n for n in range(20)]
    world.deliver(*values[:13], b"unprocessable", *values[13:])
    await world.run_until(world.committable)
    assert values == world.out
    assert [("unprocessable", 13)] == [(x.reason, x.record.offset) for x in world.letters]
    assert "RuntimeError: never" == world.letters[0].detail


async def test_a_dead_letter_that_cannot_be_sent_holds_the_partition() -> None:
    world = World()
    refusals = [PublishError("no")] * 3

    async def refuse(records: Sequence[OutRecord]) -> None:
        assert not world.tracker.committable()
        if refusals:
            raise refusals.pop()

    world.before_publish = refuse
    world.deliver(b"undecodable")
    await world.run_until(world.committable)
    assert 1 == len(world.letters)
    assert ["in.dlq"] == [record.topic for record in world.published]


async def test_a_batch_that_is_held_is_dropped_when_partitions_are_taken_away() -> None:
    world = World()

    async def away(events: list[bytes]) -> None:
        raise LookupError("away")

    world.before_handle = away
    world.deliver(b"1")
    drained = asyncio.create_task(_close_once_held(world))
    await world.run_until(drained.done)
    assert world.tracker.idle.is_set()
    assert {} == world.tracker.committable()
    assert [] == world.out


async def _close_once_held(world: World) -> None:
    while len(world.retries) < 2:
        await asyncio.sleep(0)
    world.tracker.close()
    await world.tracker.idle.wait()


async def test_chunks_of_a_revoked_partition_are_dropped_unprocessed() -> None:
    world = World()
    world.deliver(b"1")
    world.tracker.revoke([0])
    world.next.clear()
    world.deliver(b"1 again")
    await world.run_until(world.committable)
    assert [[b"1 again"]] == world.batches


async def test_work_that_ends_after_revocation_publishes_and_commits_nothing() -> None:
    world = World()

    async def revoked_meanwhile(events: list[bytes]) -> None:
        world.tracker.revoke([0])

    world.before_handle = revoked_meanwhile
    world.deliver(b"1")
    world.deliver(b"2", partition=1)
    await world.run_until(lambda: world.committable(1))
    assert [b"2"] == world.out
    assert {1: 1} == world.tracker.committable()


async def test_a_batch_that_was_revoked_while_it_was_held_is_given_up_although_work_goes_on() -> (
    None
):
    world = World()

    async def first_partition_is_away(events: list[bytes]) -> None:
        if b"old" in events:
            world.tracker.revoke([0])
            raise LookupError("away")

    world.before_handle = first_partition_is_away
    world.deliver(b"old")
    await world.run_until(lambda: bool(world.retries) and world.tracker.idle.is_set())
    tries = len(world.batches)
    world.next.clear()
    world.deliver(b"new")
    await world.run_until(world.committable)
    assert 1 == tries
    assert [b"new"] == world.out


async def test_a_batch_that_only_meets_transient_faults_is_tried_in_smaller_parts() -> None:
    world = World(limits=Limits(transient_attempts=2))

    async def too_much_at_once(events: list[bytes]) -> None:
        if len(events) > 3:
            raise LookupError("it takes too long")

    world.before_handle = too_much_at_once
    values = [b"%d" % n for n in range(20)]
    world.deliver(*values)
    await world.run_until(world.committable)
    assert values == world.out
    assert [] == world.letters


async def test_a_dead_letter_too_large_to_be_sent_says_where_the_original_lies() -> None:
    world = World()

    async def too_large(records: Sequence[OutRecord]) -> None:
        if any(record.value for record in records):
            raise UnsendableError("too large")

    world.before_publish = too_large
    world.deliver(b"undecodable")
    await world.run_until(world.committable)
    (letter,) = world.published
    headers = dict(letter.headers)
    assert ("in.dlq", None, b"") == (letter.topic, letter.key, letter.value)
    assert (b"in", b"0", b"0") == tuple(
        headers[f"dlq-{n}"] for n in ("topic", "partition", "offset")
    )
    assert b"1" == headers["dlq-truncated"]


def test_a_dead_letter_without_key_and_value_can_be_sent() -> None:
    record = Record("in", 0, 7, value=None, key=None)  # type: ignore[arg-type]
    out = DeadLetter(record, "undecodable", "no value", "group").out()
    assert (None, b"") == (out.key, out.value)
    assert ("dlq-null-value", b"1") in out.headers


def test_chunks_are_bounded_by_records_and_by_bytes_and_keep_order() -> None:
    records = [Record("in", 0, n, b"x" * size) for n, size in enumerate((1, 1, 9, 20, 1, 1, 1))]
    parts = [[record.offset for record in part] for part, _ in split(records, 2, 10)]
    assert [[0, 1], [2], [3], [4, 5], [6]] == parts


async def test_an_error_of_the_loop_itself_is_fatal_and_commits_nothing() -> None:
    world = World()
    world.deliver(b"breaks the loop")
    await world.run_until(world.fatal.is_set)
    assert {} == world.tracker.committable()


async def test_a_lane_that_is_full_takes_no_more_from_faust() -> None:
    world = World(limits=Limits(batch_records=2, waiting_records=4))
    gate = asyncio.Event()

    async def wait(events: list[bytes]) -> None:
        await gate.wait()

    world.before_handle = wait
    for n in range(50):
        world.deliver(b"%d" % n)
    running = asyncio.create_task(world.participant().run(world))
    while not world.batches:
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    assert world.queue.qsize() >= 50 - (2 + 4 + 2)
    gate.set()
    while not world.committable():
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [b"%d" % n for n in range(50)] == world.out


def test_the_waits_between_attempts_double_up_to_a_bound() -> None:
    waits = Backoff(first=0.1, most=1.0, uniform=lambda low, high: high).waits()
    assert [0.1, 0.2, 0.4, 0.8, 1.0, 1.0] == [next(waits) for _ in range(6)]
