"""What is asked for at a scrape: lag, readiness, recovery, tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP
from prometheus_client import CollectorRegistry

from app.metrics.worker import WorkerMetrics
from app.saga import INVENTORY_FIRST
from app.streaming import TableFigures
from app.streaming.lag import Lag, Partition
from app.streaming.stuck import Stuck
from app.streaming.tracker import CommitTracker
from tests.metrics import Figures

ONE, TWO = TP("one", 0), TP("one", 1)


@dataclass
class Holder:
    """A consumer; `broker` is what the broker would say, `asked` how often it was."""

    parts: list[Any] = field(default_factory=lambda: [ONE, TWO])
    done: dict[Any, int] = field(default_factory=dict)
    fetched: dict[Any, int] = field(default_factory=dict)
    broker: dict[Any, tuple[int, int]] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    away: bool = False
    tracker: CommitTracker[Any] = field(default_factory=CommitTracker)
    flow_active: bool = True

    def held(self) -> Collection[Partition]:
        return self.parts

    def finished(self, tp: Partition) -> int:
        return self.done.get(tp, 0)

    def fetched_end(self, tp: Partition) -> int | None:
        return self.fetched.get(tp)

    async def asked_ends(self, tps: Collection[Partition]) -> Mapping[Partition, int]:
        self.asked.append(sorted(tps))
        if self.away:
            raise OSError("no broker")
        return {tp: self.broker[tp][1] for tp in tps}

    async def asked_begins(self, tps: Collection[Partition]) -> Mapping[Partition, int]:
        return {tp: self.broker[tp][0] for tp in tps}


async def test_a_consumer_that_keeps_up_asks_the_broker_nothing() -> None:
    holder = Holder(done={ONE: 7, TWO: 9}, fetched={ONE: 7, TWO: 9})
    lag = Lag(holder)

    await lag.look()

    assert {ONE: 0, TWO: 0} == lag.now()
    assert [] == holder.asked


async def test_lag_is_from_what_is_finished_to_the_end_of_the_last_fetch() -> None:
    holder = Holder(done={ONE: 4}, fetched={ONE: 7, TWO: 9})

    assert {ONE: 3, TWO: 9} == Lag(holder).now()


async def test_a_held_partition_whose_fetches_have_stopped_goes_on_falling_behind() -> None:
    holder = Holder(done={ONE: 4, TWO: 9}, fetched={ONE: 7, TWO: 9}, broker={ONE: (0, 7)})
    lag = Lag(holder)
    await lag.look()
    assert {ONE: 3, TWO: 0} == lag.now()

    holder.broker[ONE] = (0, 700)
    await lag.look()

    assert {ONE: 696, TWO: 0} == lag.now()
    assert [[ONE], [ONE]] == holder.asked


async def test_a_partition_is_behind_until_it_is_known_to_be_finished() -> None:
    holder = Holder(parts=[ONE], broker={ONE: (50, 50)})
    lag = Lag(holder)
    assert lag.behind(ONE), "nothing was fetched: nobody knows"

    holder.fetched[ONE] = 0
    assert not lag.behind(ONE), "it is empty"
    holder.fetched[ONE], holder.done[ONE] = 50, 49
    assert lag.behind(ONE), "one is under way"
    await lag.look()
    assert not lag.behind(ONE), "that one is not there any more"
    holder.done[ONE] = 50
    assert not lag.behind(ONE), "all is finished"


async def test_without_a_broker_the_lag_stays_what_it_was() -> None:
    holder = Holder(parts=[ONE], done={ONE: 4}, fetched={ONE: 7}, broker={ONE: (0, 70)})
    lag = Lag(holder)
    await lag.look()
    holder.away = True

    await lag.look()

    assert {ONE: 66} == lag.now()


async def test_what_retention_has_deleted_is_not_behind() -> None:
    holder = Holder(parts=[ONE], fetched={ONE: 50}, broker={ONE: (50, 50)})
    lag = Lag(holder)

    await lag.look()

    assert {ONE: 0} == lag.now()


async def test_a_partition_of_which_nothing_is_known_yet_is_asked_for_and_then_shown() -> None:
    holder = Holder(parts=[ONE], done={ONE: 5}, broker={ONE: (0, 8)})
    lag = Lag(holder)
    assert {} == lag.now()

    await lag.look()

    assert {ONE: 3} == lag.now()


class Member:
    """A service's app."""

    def __init__(self, holder: Holder, *, ready: bool = True, recovering: bool = False) -> None:
        self.lag = Lag(holder).now
        self.seconds = 0.0
        self.looking = Stuck("orders-order", holder, lambda: self.seconds)
        self.stuck = self.looking.now
        self.ready = ready
        self.recovering = recovering


def test_a_partition_that_was_taken_away_is_shown_no_more() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, INVENTORY_FIRST)
    holder = Holder(done={ONE: 4}, fetched={ONE: 7, TWO: 9})
    metrics.members["order"] = Member(holder)
    shown = {"topic": "one", "group": "orders-order"}
    assert [3, 9] == [v for _, v in Figures.of(registry).series("kafka_consumer_lag", **shown)]

    holder.parts = [TWO]

    ((labels, value),) = Figures.of(registry).series("kafka_consumer_lag")
    assert ({**shown, "partition": "1"}, 9) == (labels, value)


def test_how_long_a_partition_is_stuck_is_shown_as_long_as_it_is_held() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, INVENTORY_FIRST)
    holder = Holder(done={ONE: 4}, fetched={ONE: 7, TWO: 0})
    member = metrics.members["order"] = Member(holder)
    for member.seconds in (0, 5, 10):
        member.looking.look(member.lag(), able=True)
    shown = {"topic": "one", "group": "orders-order"}
    assert [10, 0] == [v for _, v in Figures.of(registry).series("consumer_stuck_seconds", **shown)]

    holder.parts = [TWO]

    ((labels, value),) = Figures.of(registry).series("consumer_stuck_seconds")
    assert ({**shown, "partition": "1"}, 0) == (labels, value)


def test_each_service_has_its_own_group_readiness_and_recovery() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, INVENTORY_FIRST)
    metrics.members["order"] = Member(Holder(fetched={ONE: 1, TWO: 2}))
    metrics.members["analytics"] = Member(
        Holder(fetched={ONE: 3, TWO: 4}), ready=False, recovering=True
    )

    figures = Figures.of(registry)

    assert {"orders-order": 3, "orders-analytics": 7} == figures.by("kafka_consumer_lag", "group")
    assert {"order": 1} == figures.by("service_ready", "service")
    assert {"analytics": 1} == figures.by("worker_recovering", "service")


def test_tables_show_what_rocksdb_says() -> None:
    class Table:
        def figures(self) -> TableFigures:
            return TableFigures(disk_bytes=1000, memtable_bytes=20, keys=3)

    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, INVENTORY_FIRST)
    table: Any = Table()
    metrics.tables = {"windows": table}

    figures = Figures.of(registry)

    assert (1000, 20, 3) == (
        figures.sum("rocksdb_bytes", table="windows"),
        figures.sum("rocksdb_memtable_bytes", table="windows"),
        figures.sum("rocksdb_keys", table="windows"),
    )
