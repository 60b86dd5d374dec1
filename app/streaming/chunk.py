"""Chunks: records of one partition, in order, that are processed and finished together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faust

from app.streaming.tracker import CommitTracker, Ticket, TicketState


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition, in order, that are finished together.

    Attributes:
        records: aiokafka `ConsumerRecord`s, at least one.
        size: bytes of their values.
    """

    topic: str
    partition: int
    records: Sequence[Any]
    ticket: Ticket[Any]
    tracker: CommitTracker[Any]
    size: int

    @property
    def held(self) -> bool:
        """Whether somebody works on it and its partition is still ours."""
        return self.ticket.state is TicketState.CLAIMED

    def claim(self) -> bool:
        """Begin work; False if the chunk must be dropped, because it is no longer ours."""
        return self.tracker.claim(self.ticket)

    def finish(self) -> bool:
        """Let the chunk be committed; False if its partition was taken away meanwhile."""
        return self.tracker.finish(self.ticket)

    def abandon(self) -> None:
        """Give the chunk up unfinished: its offsets are never committed by this process."""
        self.tracker.abandon(self.ticket)


def sizes(records: Sequence[Any]) -> list[int]:
    """Bytes of each record's value."""
    return [len(record.value or b"") for record in records]


def split(
    records: Sequence[Any], most: int, most_bytes: int
) -> Iterator[tuple[Sequence[Any], int]]:
    """The records in chunks of at most so many, and so many bytes unless one alone is larger; each
    with its size in bytes."""
    for start in range(0, len(records), most):
        part = records[start : start + most]
        each = sizes(part)
        if sum(each) <= most_bytes:  # as nearly always
            yield part, sum(each)
            continue
        begin = size = 0
        for place, more in enumerate(each):
            if place > begin and size + more > most_bytes:
                yield part[begin:place], size
                begin, size = place, 0
            size += more
        yield part[begin:], size


class ChunkSchema(faust.Schema):
    """Passes chunks through; records are decoded by whoever processes them."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any,
        on_value_decode_error: Any,
        default_propagate: bool = False,
    ) -> Any:
        """The function that makes a message an event."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.conf.Event(app, None, message.value, {}, message)

        return decode
