"""Fetching past a record that the Kafka client itself can't read.

aiokafka decodes the names of a record's headers as UTF-8 while it fetches. One record with another
name would end the process at each start, and nothing would say which record it is. Here it is
stepped over, and handed on as a record without content, so that it becomes a dead letter that says
where the original lies.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver

Take = Callable[[Any, int | None], Awaitable[Any]]
UNREADABLE = ("unreadable", b"the name of one of its headers is not UTF-8")


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, that steps over unreadable records."""

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

        return await stepping_over(consumer, active_partitions, take, self.log)


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
