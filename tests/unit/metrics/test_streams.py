"""Records, batches and dead letters of consumer groups; locks; labels that stay few."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.metrics.worker import WorkerMetrics
from app.saga import INVENTORY_FIRST
from app.stores.errors import ConflictError, LeaseUnavailableError, OversoldError
from app.stores.locks import FencedLocks
from app.stores.stock import StockStore
from app.streaming import DeadLetter, OutRecord, Publisher
from tests.metrics import Figures
from tests.unit.agents.fakes import FakeCollection, FakeRedis, run


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> WorkerMetrics:
    return WorkerMetrics(registry, INVENTORY_FIRST)


def chunk(topic: str, records: int) -> Any:
    return SimpleNamespace(topic=topic, records=[None] * records)


def test_a_batch_counts_its_records_by_topic_and_itself_once(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    observer = metrics.listeners.group("orders-a", ["one", "two"])

    observer.on_batch([chunk("one", 3), chunk("one", 4), chunk("two", 5)], 9)
    observer.on_retry(TimeoutError())

    figures = Figures.of(registry)
    consumed = "kafka_messages_consumed_total"
    assert (7, 5) == (figures.sum(consumed, topic="one"), figures.sum(consumed, topic="two"))
    assert 12 == figures.sum(consumed, group="orders-a")
    assert 1 == figures.sum("participant_batches_total", group="orders-a")
    assert 12 == figures.sum("participant_batch_records_sum", group="orders-a")
    assert 1 == figures.sum("participant_retries_total", group="orders-a")


def test_dead_letters_are_shown_from_nothing_on_so_that_the_first_is_an_increase(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    observer = metrics.listeners.group("orders-a", ["one"])
    before = Figures.of(registry).series("dead_letters_total", topic="one")

    record: Any = SimpleNamespace(topic="one")
    observer.on_dead_letter(DeadLetter(record, "undecodable", "it is none", "orders-a"))

    assert [0.0, 0.0] == [value for _, value in before]
    dead = Figures.of(registry).by("dead_letters_total", "reason")
    assert {"undecodable": 1} == dead


class Producer:
    """Acknowledges, or not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def send(self, *_: Any) -> Any:
        delivery = asyncio.get_running_loop().create_future()
        if self.error:
            delivery.set_exception(self.error)
        else:
            delivery.set_result(None)
        return delivery


async def test_only_records_that_were_acknowledged_count_as_produced(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    records = [OutRecord(topic, None, b"") for topic in ("one", "two", "one")]
    app = SimpleNamespace(producer=Producer())
    publish = Publisher(app, on_sent=metrics.listeners.sent)

    await publish(records)
    app.producer = Producer(OSError("away"))
    with pytest.raises(Exception, match="away"):
        await publish(records)

    produced = Figures.of(registry).by("kafka_messages_produced_total", "topic")
    assert {"one": 2, "two": 1} == produced


def test_a_tables_changelog_is_produced_when_written_and_recovered_when_read_back(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    observer = metrics.listeners.table("windows")

    observer.on_logged("orders-analytics-windows-changelog", 12)
    observer.on_recovered(30)

    figures = Figures.of(registry)
    assert 12 == figures.sum("kafka_messages_produced_total")
    assert 30 == figures.sum("table_recovered_records_total", table="windows")


def test_locks_are_counted_by_what_became_of_them_and_by_the_kind_of_what_they_lock(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    redis: Any = FakeRedis()
    locks = FencedLocks(
        redis, lease_seconds=20.0, wait_seconds=-1.0, observer=metrics.listeners.locks
    )
    held = run(locks.acquire(["stock:a", "stock:b"]))
    for product in ("stock:a", "stock:b"):
        with pytest.raises(LeaseUnavailableError):
            run(locks.acquire([product]))
    run(locks.release(held))
    late = run(locks.acquire(["stock:a"]))
    redis.expire_all()
    run(locks.release(late))

    figures = Figures.of(registry)
    assert {"acquired": 2, "timeout": 2, "lost": 1} == figures.by(
        "lock_acquisitions_total", "status"
    )
    assert {"stock": 2} == figures.by("lock_contentions_total", "resource")


def test_a_write_that_the_stocks_guard_refuses_is_counted_a_product(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    collection: Any = FakeCollection()
    shelf = StockStore(collection, on_refused=metrics.listeners.stock_refused)
    run(shelf.put({"a": 5, "b": 5}))
    before = run(shelf.load(["a", "b"]))
    after = {product: stock.hold("o1", 1) for product, stock in before.items()}

    run(shelf.save(before, after, token=7))
    with pytest.raises(ConflictError):
        run(shelf.save(before, after, token=8))
    known = run(shelf.load(["a"]))
    with pytest.raises(ConflictError):
        run(shelf.save(known, known, token=7))

    assert 3 == Figures.of(registry).sum("stock_guard_refusals_total")


def test_a_write_that_would_oversell_is_refused_whatever_decided_it(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    collection: Any = FakeCollection()
    shelf = StockStore(collection, on_refused=metrics.listeners.stock_refused)
    run(shelf.put({"a": 5}))
    before = run(shelf.load(["a"]))
    (stock,) = before.values()
    below = type(stock)("a", available=-1, holds={"o1": 6})

    with pytest.raises(OversoldError):
        run(shelf.save(before, {"a": below}, token=7))

    assert before == run(shelf.load(["a"]))
    assert 1 == Figures.of(registry).sum("stock_guard_refusals_total")


def test_what_somebody_has_set_below_zero_can_still_be_settled_and_given_back() -> None:
    collection: Any = FakeCollection()
    collection.insert(
        {"_id": "a", "available": -3, "holds": {"o1": 2}, "sold": 0, "fence": 0, "initial": 0}
    )
    shelf = StockStore(collection)
    before = run(shelf.load(["a"]))

    run(shelf.save(before, {"a": before["a"].settle("o1")}, token=7))

    assert 2 == run(shelf.load(["a"]))["a"].sold
