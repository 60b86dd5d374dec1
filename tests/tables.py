"""A table in memory, for folds: what was written, and writes that are cut short."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from app.codec import encode
from app.events import Event, EventData


class MemoryTable:
    """As a `ChunkTable`, without Kafka and RocksDB.

    Attributes:
        cut: a write takes only so many of its records, and fails; None lets it through.
        lagging: partitions whose source holds more than is counted.
    """

    def __init__(self) -> None:
        self.partitions: dict[int, dict[bytes, bytes]] = {}
        self.cut: int | None = None
        self.lagging: set[int] = set()
        self.writes: list[int] = []

    def held(self) -> frozenset[int]:
        return frozenset(self.partitions)

    def behind(self, partition: int) -> bool:
        return partition in self.lagging

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        stored = self.partitions.setdefault(partition, {})
        return [stored.get(key) for key in keys]

    def scan(
        self, partition: int, start: bytes, end: bytes, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        stored = self.partitions.setdefault(partition, {})
        for key in sorted((k for k in stored if start <= k < end), reverse=backwards):
            yield key, stored[key]

    async def write(
        self,
        partition: int,
        puts: Mapping[bytes, bytes],
        last: tuple[bytes, bytes],
        deletes: Sequence[bytes] = (),
    ) -> None:
        records = [*((key, None) for key in deletes), *puts.items(), last]
        stored = self.partitions.setdefault(partition, {})
        self.writes.append(len(records))
        for key, value in records[: self.cut]:
            if value is None:
                stored.pop(key, None)
            else:
                stored[key] = value
        if self.cut is not None:
            self.cut = None
            raise ConnectionError("the write was cut short")


def record(
    data: EventData, offset: int, *, arrived: int = 0, partition: int = 0, **changes: Any
) -> Any:
    """A consumer record of an event, as aiokafka hands it out; `arrived` in ms."""
    sent = encode(Event.first(data, source="test", at="2026-01-01T00:00:00.000000Z"))
    fields = {
        "topic": sent.topic,
        "partition": partition,
        "offset": offset,
        "timestamp": arrived,
        "key": sent.key,
        "value": sent.value,
        "headers": tuple(sent.headers),
    }
    return SimpleNamespace(**{**fields, **changes})
