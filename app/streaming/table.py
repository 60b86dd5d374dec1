"""A Faust table that is written a chunk at a time, and recovered a fetch at a time.

Stock Faust sends one changelog record a write, in the background, and puts the value into RocksDB
before that record is delivered. Here all that a chunk changes is one batch:

1. the changelog's broker acknowledges it (one Kafka record batch, so it is there whole or not at
   all, where it fits into one);
2. RocksDB takes it together with the changelog's offset, in one write that is atomic.

So the local state is never ahead of the changelog, and after a crash both are the state after a
whole number of writes. The offset promises that all before it is in the local state. Where somebody
else has written in between it therefore stays: a worker that was frozen, has lost the partition and
then writes what it had in hand must read what its successor wrote, should it ever get it back.

A write too large for one Kafka batch is sent in several, its last record
only after the others were acknowledged: where `last` is found, all before it is.

Values begin with a version, 8 bytes big-endian, that never falls for a key. A record that comes
late from a worker that has lost the partition can't undo what its successor has written: recovery
keeps the higher version, and writes it again, since compaction keeps only what came last. Source:
the fencing problem of a zombie producer, as in Kafka's KIP-447.
"""

import asyncio
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import faust
from aiokafka.errors import KafkaError
from rocksdict import WriteBatch

from app.streaming.chunk import ChunkSchema
from app.streaming.observers import TableFigures, TableObserver
from app.streaming.publisher import PublishError
from app.streaming.store import store_of

VERSION = struct.Struct(">Q")
# Below what brokers take by default (1,048,588 bytes): a chunk's changes fit into one batch.
BATCH_BYTES = 900_000
# Faust keeps fetched changelog records until it has so many messages; each is a whole fetch.
RECOVERY_FETCHES = 4
# A table's partition: 2 x 8 MiB of write buffer and 16 MiB of cache. Faust's own defaults would
# take gigabytes with a dozen partitions.
ROCKSDB_OPTIONS = {
    "write_buffer_size": 8 << 20,
    "max_write_buffer_number": 2,
    "block_cache_size": 16 << 20,
    "max_open_files": 256,
    "driver": "rocksdict",
}


class TableError(PublishError):
    """RocksDB refused: its disk's fault and not the record's, so the partition is held."""


class NotHeldError(TableError):
    """The partition belongs to another process now."""


class ChunkTable(faust.Table):
    """Bytes to bytes, partitioned as its source topic; made by `chunk_table`.

    Writes are given by the one who processes the partition; reads are for anybody in the process.
    """

    # Called with an error of recovery; must end the process.
    on_fatal: Callable[[BaseException], None]
    observer: TableObserver
    # Whether a partition of what is folded into it is not yet folded to its end.
    behind: Callable[[int], bool]
    # By partition, keys whose newest changelog record is a late one that has not won.
    overtaken: dict[int, set[bytes]]

    def _new_store(self) -> Any:
        return store_of(self)

    def held(self) -> frozenset[int]:
        """The partitions that are this process's and recovered: what it can answer for."""
        if self.app.rebalancing or not self.app.tables.actives_ready:
            return frozenset()
        name = self.changelog_topic_name
        actives = self.app.assignor.assigned_actives()
        return frozenset(tp.partition for tp in actives if tp.topic == name)

    def figures(self) -> TableFigures:
        """What RocksDB says of the partitions that are open here."""
        return TableFigures(
            self._property("rocksdb.total-sst-files-size"),
            self._property("rocksdb.cur-size-all-mem-tables"),
            self._property("rocksdb.estimate-num-keys"),
        )

    def _property(self, name: str) -> int:
        total = 0
        for database in list(self.data._dbs.values()):  # noqa: SLF001 (Faust has no way)
            with suppress(Exception):  # it is being closed; RocksDB's errors are bare exceptions
                total += int(database.property_int_value(name) or 0)
        return total

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, in their order.

        Raises:
            NotHeldError: the partition is not this process's.
            TableError: RocksDB can't read.
        """
        with rocksdb_errors():
            found: list[bytes | None] = self._database(partition).get(list(keys))
        return found

    def scan(
        self, partition: int, start: bytes, end: bytes, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with `start <= key < end`, ascending; or descending from the end.

        Raises:
            NotHeldError: the partition is not this process's.
            TableError: RocksDB can't read.
        """
        with rocksdb_errors():
            database = self._database(partition)
            found = database.items(backwards=backwards, from_key=end if backwards else start)
            for key, value in found:
                if backwards and key >= end:
                    continue
                if (key < start) if backwards else (key >= end):
                    return
                yield key, value

    async def write(
        self,
        partition: int,
        puts: Mapping[bytes, bytes],
        last: tuple[bytes, bytes],
        deletes: Collection[bytes] = (),
    ) -> None:
        """Make the changes durable, then visible; `last` is written after all others.

        Raises:
            PublishError: the changelog did not take them, or not in time. Write them again.
            NotHeldError: the partition was taken away.
            TableError: RocksDB can't write; the changelog has taken them.
        """
        records: list[tuple[bytes, bytes | None]] = [(key, None) for key in deletes]
        records += self._winners(partition, {*puts, last[0], *deletes})
        records += puts.items()
        records.append(last)
        generation = self.app.consumer_generation_id
        logged = await self._log(partition, records)
        if generation != self.app.consumer_generation_id:
            # Meanwhile another may have had the partition, and what it wrote was recovered.
            raise NotHeldError(f"{self.name}: partition {partition} was given out anew")
        batch = WriteBatch(raw_mode=True)
        for key, value in records:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        with rocksdb_errors():
            database = self._database(partition)
            known = database.get(self.data.offset_key)
            if joined((0 if known is None else int(known) + 1), logged):
                batch.put(self.data.offset_key, str(logged[-1].stop - 1).encode())
            database.write(batch)
        self.overtaken.pop(partition, None)

    def _winners(self, partition: int, written: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values that are due to be written again, without those that are written now."""
        due = [key for key in self.overtaken.get(partition, ()) if key not in written]
        for key, value in zip(due, self.read(partition, due), strict=True):
            if value is not None:
                yield key, value

    async def _log(
        self, partition: int, records: Sequence[tuple[bytes, bytes | None]]
    ) -> list[range]:
        """Append to the changelog; the offsets, by Kafka batch."""
        producer = self.app.producer._producer  # noqa: SLF001 (Faust has no batches)
        topic = self.changelog_topic_name
        try:
            async with asyncio.timeout(self.app.conf.producer_request_timeout):
                *before, end = batches = list(_batches(producer, records))
                delivered = await asyncio.gather(
                    *[
                        await producer.send_batch(batch, topic, partition=partition)
                        for batch in before
                    ]
                )
                delivery = await producer.send_batch(end, topic, partition=partition)
                delivered.append(await delivery)
        except (KafkaError, TimeoutError, OSError) as error:
            raise PublishError(f"changelog {topic}-{partition}: {error!r}") from error
        self.observer.on_logged(topic, len(records))
        return [
            range(metadata.offset, metadata.offset + batch.record_count())
            for metadata, batch in zip(delivered, batches, strict=True)
        ]

    def apply_changelog_batch(self, batch: Sequence[Any]) -> None:
        """Take up what was fetched of the changelog; Faust's recovery calls this.

        Faust only logs an error here and would go on without the records, so it is fatal.
        """
        try:
            fetched: dict[int, list[Any]] = {}
            for event in batch:
                fetched.setdefault(event.message.partition, []).extend(event.message.value)
            for partition, records in fetched.items():
                # Faust may still hold what it fetched before a rebalance took the partition away.
                if partition in self.data._dbs:  # noqa: SLF001
                    self._recover(partition, records)
                    self.observer.on_recovered(len(records))
        except Exception as error:
            self.on_fatal(error)

    def _recover(self, partition: int, records: Sequence[Any]) -> None:
        """Apply changelog records in their order; of two values the higher version stays."""
        database = self._database(partition)
        newest: dict[bytes, bytes | None] = {}
        late: set[bytes] = set()
        for record in records:
            key, value = record.key, record.value
            known = newest.get(key)
            if value is None or known is None or known[:8] <= value[:8]:
                newest[key] = value
                late.discard(key)
            else:
                late.add(key)
        stored = database.get(list(newest))
        changes = WriteBatch(raw_mode=True)
        for (key, value), known in zip(newest.items(), stored, strict=True):
            if value is None:
                changes.delete(key)
            elif known is None or known[:8] <= value[:8]:
                changes.put(key, value)
            else:
                late.add(key)
        overtaken = self.overtaken.setdefault(partition, set())
        overtaken.difference_update(newest)
        overtaken.update(late)
        changes.put(self.data.offset_key, str(records[-1].offset).encode())
        database.write(changes)

    def _database(self, partition: int) -> Any:
        # Faust's own accessor would open a database for whatever partition is asked for.
        try:
            return self.data._dbs[partition]  # noqa: SLF001 (Faust has no way)
        except KeyError:
            raise NotHeldError(f"{self.name}: partition {partition} is not held here") from None


@contextmanager
def rocksdb_errors() -> Iterator[None]:
    """RocksDB's errors are bare exceptions."""
    try:
        yield
    except TableError:
        raise
    except Exception as error:
        raise TableError(f"RocksDB: {error}") from error


def joined(start: int, spans: Iterable[range]) -> bool:
    """Whether the spans follow each other without a gap, the first at `start`."""
    for span in spans:
        if span.start != start:
            return False
        start = span.stop
    return True


def _batches(producer: Any, records: Sequence[tuple[bytes, bytes | None]]) -> Iterator[Any]:
    """The records in Kafka batches, at least one."""
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(timestamp=None, key=key, value=value) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)  # the first is always taken
    batch.close()
    yield batch


def chunk_table(
    app: Any,
    name: str,
    *,
    on_fatal: Callable[[BaseException], None],
    observer: TableObserver | None = None,
    behind: Callable[[int], bool] = lambda partition: True,
) -> ChunkTable:
    """A table of an app with `install`'s transport, kept in RocksDB below the app's data folder.

    The app's `producer_max_batch_size` should be `BATCH_BYTES`. `behind` says whether
    a partition's source holds more than was written, or nobody can tell.
    """
    table = ChunkTable(
        app,
        name=name,
        schema=ChunkSchema(),
        key_type=bytes,
        value_type=bytes,
        partitions=app.conf.topic_partitions,
        recovery_buffer_size=RECOVERY_FETCHES,
        options=dict(ROCKSDB_OPTIONS),
    )
    table.on_fatal = on_fatal
    table.observer = observer or TableObserver()
    table.behind = behind
    table.overtaken = {}
    app.transport.changelogs.add(table.changelog_topic_name)
    app.tables.add(table)
    return table
