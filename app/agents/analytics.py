"""Analytics service: exact event-time windows over orders, views of movies, and users' actions.

Consumes: order.events.v1 (key: order id), movie.views.v1 (movie id), user.actions.v1 (user id).
Produces: nothing.
Stores: RocksDB tables with changelogs, a partition of them for each partition of their topics.
Compensates: nothing.

What a chunk changes is worked out from the partition's ledger and its tallies, written at once, and
only then is the chunk finished (see `app.tables`).
"""

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from faust.types import TP

from app import codec
from app.listeners import Listeners
from app.resources import Resources
from app.settings import Settings
from app.streaming import OutRecord
from app.streaming.table import ChunkTable, chunk_table
from app.tables import keys
from app.tables.decoding import NOT_AS_WRITTEN
from app.tables.decoding import decode as decode_order
from app.tables.decoding import decode_all as decode_orders
from app.tables.folding import Plan, WindowFold
from app.tables.keys import By
from app.tables.ledger import Ledger, Progress, paged
from app.tables.movies import (
    ACTION_DIMENSIONS,
    VIEW_DIMENSIONS,
    Happened,
    HappeningFold,
    decode_action,
    decode_view,
)
from app.tables.orders import OrderFold
from app.topics import ACTION_WINDOWS, ORDER_WINDOWS, VIEW_WINDOWS, TableSpec

MINUTE, HOUR, DAY = 60, 3600, 86_400
# What a fold raises where a number is none, or more than a tally holds, or a text is none.
NOT_FOLDABLE = (*NOT_AS_WRITTEN, struct.error)
ORDER_DIMENSIONS = (By.NONE, By.COUNTRY, By.PRODUCT)


class Table(Protocol):
    """What the service needs of a `ChunkTable`."""

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values by key."""
        ...

    def scan(
        self, partition: int, start: bytes, end: bytes, *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a range."""
        ...

    async def write(
        self,
        partition: int,
        puts: Mapping[bytes, bytes],
        last: tuple[bytes, bytes],
        deletes: Sequence[bytes] = (),
    ) -> None:
        """All changes of a chunk."""
        ...


class LogReplacedError(ConnectionError):
    """The topic is not the one that was counted: all it holds would pass for known. Held, since no
    number is better than a wrong one."""


Heard = Sequence[Any]
"""A record, and what its fold needs of it."""


@dataclass(frozen=True, slots=True)
class TopicFold:
    """How a topic is folded into its table."""

    spec: TableSpec
    fold: WindowFold[Any]
    decode: Callable[[Any], Heard]
    decode_all: Callable[[Sequence[Any]], Sequence[Heard]]


class AnalyticsService:
    """Folds what it hears into tables.

    Args:
        folds: one for each topic.
        shown: where the tables are put, by their names, for those who query them.
        listeners: told how many records of a chunk came too late for some window, and of the
            tables' changelogs.

    Attributes:
        tables: by the topic that is folded into them.
    """

    def __init__(
        self,
        folds: Sequence[TopicFold],
        *,
        shown: dict[str, ChunkTable] | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        self.shown = {} if shown is None else shown
        self._folds = {each.spec.source.name: each for each in folds}
        self._listeners = listeners or Listeners()
        self._ledgers: dict[tuple[str, int], Ledger] = {}
        self._folding = asyncio.Lock()
        self.tables: dict[str, Table] = {}
        self._log_end: Callable[[str, int], int | None] = lambda topic, partition: None

    @classmethod
    def from_resources(cls, resources: Resources) -> "AnalyticsService":
        """With all windows, as the settings say; its tables are among the resources."""
        conf = resources.settings
        return cls(
            [
                order_windows(plan(conf, ORDER_DIMENSIONS)),
                happenings(VIEW_WINDOWS, plan(conf, VIEW_DIMENSIONS), decode_view),
                happenings(ACTION_WINDOWS, plan(conf, ACTION_DIMENSIONS), decode_action),
            ],
            shown=resources.tables,
            listeners=resources.listeners,
        )

    def attach(self, app: Any, on_fatal: Callable[[BaseException], None]) -> None:
        """Make the tables, in the app whose agent this is."""
        for topic, each in self._folds.items():
            name = each.spec.name
            observer = self._listeners.table(name)
            behind = partial(_behind, app, topic)
            table = chunk_table(app, name, on_fatal=on_fatal, observer=observer, behind=behind)
            self.tables[topic] = self.shown[name] = table

        @app.on_partitions_assigned.connect
        async def forget(app: Any, assigned: Any, **kwargs: Any) -> None:
            # Partitions were given out anew: what is known of them lies in the tables.
            self._ledgers = {}

        self._log_end = lambda topic, partition: app.consumer.highwater(TP(topic, partition))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics it consumes."""
        return tuple(self._folds)

    def decode(self, record: Any) -> Heard:
        """A record, and what it says."""
        return self._folds[record.topic].decode(record)

    def decode_all(self, records: Sequence[Any]) -> Sequence[Heard]:
        """Records of one partition, and what they say."""
        return self._folds[records[0].topic].decode_all(records)

    async def handle(self, events: Sequence[Heard]) -> Sequence[OutRecord]:
        """Fold records of one partition, in order; all is durable on return.

        Raises:
            PublishError: the changelog did not take it.
            UndecodableError: a record can't be folded, as it is no event of its topic after all.
        """
        first = events[0][0]
        topic, partition = first.topic, first.partition
        fold, table = self._folds[topic].fold, self.tables[topic]
        # One partition after the other, though all may be ready: between two folds the rest of the
        # process has its turn.
        async with self._folding:
            # Not known again until what follows is written: else it is loaded anew.
            ledgers = self._ledgers
            ledger = ledgers.pop((topic, partition), None)
            if ledger is None:
                ledger = load(table, partition, fold.plan.horizon)
                self._require_same_log(topic, partition, ledger.progress.offset)
            try:
                changes = fold.fold(
                    ledger,
                    events,
                    partial(table.read, partition),
                    partial(table.scan, partition),
                )
            except NOT_FOLDABLE:
                # The tables' own decoders look at little; whoever breaks a fold is looked at whole.
                source = self._folds[topic].spec.source
                for record, *_ in events:
                    codec.decode(source, record.key, record.value, record.headers)
                raise
        if changes is not None:
            await table.write(partition, changes.puts, changes.last, changes.deletes)
            ledger.advance(changes.progress, changes.seen, changes.swept)
            if changes.late:
                self._listeners.late(topic, changes.late)
        ledgers[topic, partition] = ledger
        return ()

    def _require_same_log(self, topic: str, partition: int, counted: int) -> None:
        end = self._log_end(topic, partition)
        if end is not None and counted > end:
            raise LogReplacedError(
                f"{topic}-{partition} ends at {end}, but is counted up to {counted}: the topic was "
                f"made anew. Its windows begin anew once {self._folds[topic].spec.changelog} is "
                "deleted, and the workers' data folders with it."
            )


def _behind(app: Any, topic: str, partition: int) -> bool:
    found: bool = app.behind(TP(topic, partition))
    return found


def load(table: Table, partition: int, horizon: int) -> Ledger:
    """A partition's ledger, as it was last written."""
    (stored,) = table.read(partition, [keys.PROGRESS])
    progress = Progress() if stored is None else Progress.decode(stored)
    pages = table.scan(partition, keys.seen(0), keys.seen(keys.OFFSET_MAX))
    seen = (each for key, value in pages for each in paged(keys.seen_page(key), value))
    return Ledger(progress, seen, horizon)


def plan(conf: Settings, by: tuple[By, ...]) -> Plan:
    """What windows are kept, as the settings say."""
    return Plan(
        retention={
            MINUTE: conf.analytics_minutes_kept_seconds,
            HOUR: conf.analytics_hours_kept_seconds,
            DAY: conf.analytics_days_kept_seconds,
        },
        by=by,
        grace_seconds=conf.analytics_grace_seconds,
        ahead_seconds=conf.analytics_ahead_seconds,
        horizon=conf.analytics_horizon_records,
    )


def happenings(spec: TableSpec, plan: Plan, decode: Callable[[Any], Happened]) -> TopicFold:
    """The windows of a topic that tells what happened."""
    return TopicFold(spec, HappeningFold(plan), decode, lambda records: [*map(decode, records)])


def order_windows(plan: Plan) -> TopicFold:
    """The orders' windows."""
    return TopicFold(ORDER_WINDOWS, OrderFold(plan), decode_order, decode_orders)
