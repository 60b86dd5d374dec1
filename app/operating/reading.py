"""Reads records at given places, without a group: assigned by hand, sought, never committed."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from app.streaming.fetching import stepping_over

logger = logging.getLogger(__name__)

# Each fetch is waited for so long at most; then it is seen whether the time is up.
POLL_MS = 200
POLL_RECORDS = 500

Keep = Callable[[Any], None]
Waiting = dict[TopicPartition, deque[range]]


async def read(
    consumer: Any,
    spans: Mapping[TopicPartition, Sequence[range]],
    keep: Keep,
    *,
    seconds: float,
) -> Mapping[TopicPartition, int]:
    """Hand each record of the spans to `keep`, in the order of each partition.

    Args:
        spans: ranges of offsets, of each partition in ascending order. Of those that hold no record
            (any more), nothing is handed over.
        seconds: what is not read by then is left.

    Returns:
        Of each partition the offset up to which all was read: the end of its last span, unless the
        time was up.
    """
    waiting = {tp: deque(each) for tp, each in spans.items() if each}
    reached = {tp: each[0].start for tp, each in waiting.items()}
    give_up = time.monotonic() + seconds
    if waiting:
        consumer.assign(list(waiting))
        for tp, each in waiting.items():
            consumer.seek(tp, each[0].start)
    while waiting and time.monotonic() < give_up:
        await _take(consumer, waiting, keep)
        for tp in list(waiting):
            # A position also moves over what was compacted away.
            reached[tp] = min(await consumer.position(tp), waiting[tp][0].stop)
            if reached[tp] == waiting[tp][0].stop:
                _go_on(consumer, tp, waiting)
    return reached


async def _take(consumer: Any, waiting: Waiting, keep: Keep) -> None:
    async def take(partitions: Iterable[TopicPartition], most: int | None) -> Any:
        return await consumer.getmany(
            *partitions, timeout_ms=POLL_MS, max_records=most or POLL_RECORDS
        )

    batches = await stepping_over(consumer, list(waiting), take, logger)
    for tp, records in batches.items():
        for record in records:
            if record.offset in waiting[tp][0]:
                keep(record)


def _go_on(consumer: Any, tp: TopicPartition, waiting: Waiting) -> None:
    """To the partition's next span, if it has one."""
    waiting[tp].popleft()
    if waiting[tp]:
        consumer.seek(tp, waiting[tp][0].start)
    else:
        consumer.pause(tp)
        del waiting[tp]


def spans_of(offsets: Iterable[int], *, gap: int) -> list[range]:
    """Ranges that hold the offsets; those with at most `gap` others between them share one."""
    spans: list[range] = []
    for offset in sorted(offsets):
        if spans and offset - spans[-1].stop <= gap:
            spans[-1] = range(spans[-1].start, offset + 1)
        else:
            spans.append(range(offset, offset + 1))
    return spans
