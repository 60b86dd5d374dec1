"""Fetching in the process's own event loop, and past a record that the Kafka client can't read.

Faust gives each consumer a thread with an event loop of its own, so that heartbeats go on while an
agent computes. A worker with all services would have seven: each fetch and each commit wakes two
threads that wait for Python's lock in turn, which cost more than the work they handed over (see
docs/adr/0013-one-event-loop.md). No computation of ours is longer than a heartbeat's
interval, so here the consumer lives in the loop of those who use it.

aiokafka decodes the names of a record's headers as UTF-8 while it fetches. One record with another
name would end the process at each start, and nothing would say which record it is. Here it is
stepped over, and handed on as a record without content, so that it becomes a dead letter that says
where the original lies.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from mode.services import Service
from mode.utils.futures import maybe_async

from app.streaming.pacing import Pace

# A client that has given up does so for good; soon enough beside a session's seconds.
LOOK_SECONDS = 1.0
Take = Callable[[Any, int | None], Awaitable[Any]]
UNREADABLE = ("unreadable", b"the name of one of its headers is not UTF-8")


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread without its thread, that steps over unreadable records."""

    wait_for_shutdown = False

    def __init__(self, consumer: Any, *, loop: Any, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)
        self._pace = Pace(consumer.transport.fetch_gap)

    async def start(self) -> None:
        """Start here, as any service does."""
        await Service.start(self)

    async def on_stop(self) -> None:
        """Leave the group; before the tasks end that this needs."""
        await self.on_thread_stop()

    async def _stop_children(self) -> None:
        await self._default_stop_children()

    async def _stop_futures(self) -> None:
        await self._default_stop_futures()

    async def _stop_exit_stacks(self) -> None:
        await self._default_stop_exit_stacks()

    def _stopped_set(self) -> None:
        self._stopped.set()

    def set_shutdown(self) -> None:
        """Say that it has stopped."""
        self._shutdown.set()

    @Service.task
    async def _watch(self) -> None:
        """Fail when the client has given up, so that the process ends and is started again.

        What the client can't recover from it tells whoever fetches by its own methods, and waits
        until it was told. Faust takes records past these: nothing would fetch, or be a member of
        the group again, and nothing would say so.
        """
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            if not self.should_stop:
                require_working(self._ensure_consumer())

    async def call_thread(
        self, fun: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        """Call it, here and now."""
        return await maybe_async(fun(*args, **kwargs))

    async def seek_to_start(self, partitions: Iterable[Any]) -> None:
        """Set positions to the start, without asking the broker where that is.

        Raises:
            IllegalStateError: one is not assigned any more.
        """
        await self.call_thread(self._seek_to_start, self._ensure_consumer(), partitions)

    async def _seek_to_start(self, consumer: Any, partitions: Iterable[Any]) -> None:
        for partition in partitions:
            consumer.seek(partition, 0)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        fetch = super()._fetch_records

        async def take(partitions: Any, most: int | None) -> Any:
            return await fetch(consumer, partitions, timeout, most or max_records)

        # Before Faust looks whether anything may flow: that may change meanwhile.
        await asyncio.sleep(self._pace.left)
        only = None if active_partitions is None else Only(active_partitions)
        taken = await stepping_over(consumer, only, take, self.log)
        self._pace.took(sum(map(len, taken.values())))
        return taken


def require_working(consumer: Any) -> None:
    """Return where the client works.

    Raises:
        KafkaError: it has given up, on its group or on fetching.
    """
    consumer._coordinator.check_errors()  # noqa: SLF001 (only `getmany` asks, and takes records)
    fetching = consumer._fetcher.error_future  # noqa: SLF001
    if fetching.done():
        fetching.result()


@dataclass(frozen=True, slots=True)
class Only:
    """Partitions to take records of, as they are when there are records.

    Faust gives the set that it changes while a fetch is under way. Emptied, as it is between a
    table's recovery and the streams' resumption, it would stand for all partitions to the client:
    it would hand out the streams' first records, which Faust then drops as not asked for.
    """

    partitions: Collection[Any]

    def __contains__(self, tp: Any) -> bool:
        return tp in self.partitions

    def __bool__(self) -> bool:
        return True


async def stepping_over(consumer: Any, partitions: Any, take: Take, log: Any) -> Any:
    """What `take(partitions, most)` takes, `most` None for as many as it likes.

    Where that meets a record that can't be read: those before it, else one that stands for it.
    """
    before = _positions(consumer)
    try:
        return await take(partitions, None)
    except UnicodeDecodeError as error:
        tp, unreadable = _broken(consumer)
        log.error("%r: the record at offset %d can't be read: %s", tp, unreadable, error)
        # What the client had unpacked until then is lost to us, of this partition and of others:
        # from where it was it is fetched again.
        now = _positions(consumer)
        for other, position in before.items():
            if other != tp and now.get(other, position) != position:
                consumer.seek(other, position)
        position = await consumer.position(tp)
        del _fetched(consumer)[tp]
        if position < unreadable:
            return await take({tp}, unreadable - position)
        consumer.seek(tp, unreadable + 1)
        return {tp: [without_content(tp, unreadable)]}


def _positions(consumer: Any) -> Mapping[Any, int]:
    """Of each assigned partition, the offset of the record that is handed out next."""
    subscription = consumer._subscription.subscription  # noqa: SLF001 (asked for it waits)
    assignment = subscription and subscription.assignment
    states = {tp: assignment.state_value(tp) for tp in assignment.tps} if assignment else {}
    return {tp: state.position for tp, state in states.items() if state.has_valid_position}


def _fetched(consumer: Any) -> Any:
    """What the client holds of each partition, not yet handed out."""
    return consumer._fetcher._records  # noqa: SLF001 (it has no other way to step over a record)


def _broken(consumer: Any) -> tuple[Any, int]:
    """The partition whose records could not be unpacked, and the offset at which that stopped."""
    for tp, result in _fetched(consumer).items():
        records = getattr(result, "_partition_records", None)
        unpacking = getattr(records, "_records_iterator", None)
        if records and unpacking and inspect.getgeneratorstate(unpacking) == inspect.GEN_CLOSED:
            return tp, int(records.next_fetch_offset)
    raise LookupError("no partition's records are broken")


def without_content(tp: Any, offset: int) -> Any:
    """A record that stands for the one at `offset`."""
    return ConsumerRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=None,
        value=None,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=(UNREADABLE,),
    )
