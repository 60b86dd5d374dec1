"""The books by the topics, on a real Kafka: each planted fault is found and named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from app.books_of_log import LogBooks
from app.cli import saga_log
from app.cli.console import UNREACHABLE, CommandError
from app.cli.saga_log import Snapshot, opened, topics_of
from app.codec import encode
from app.events import Event, OrderPlaced, timestamp
from app.saga import INVENTORY_FIRST
from app.settings import Settings
from app.topics import ORDER, TopicSpec
from infra.local.ports import free_ports
from infra.local.testing import LocalServers
from tests.builders import PRICE, START, after, order, order_id, placed
from tests.kafka import create_topics, producing
from tests.logbook import Played, problems

ORDERS = 12
OLD_MS = 1_000_000


@dataclass
class Log:
    """The saga's topics under names of the test's own."""

    settings: Settings
    names: dict[str, str]

    @property
    def topics(self) -> dict[str, TopicSpec]:
        """Each with what it stands for."""
        return {self.names[name]: spec for name, spec in topics_of(INVENTORY_FIRST).items()}

    async def write(self, events: Sequence[Event], *, at: int | None = None) -> None:
        """Append the events, each to its topic."""
        async with producing(self.settings.kafka_bootstrap_servers) as producer:
            for event in events:
                sent = encode(event)
                await producer.send_and_wait(
                    self.names[sent.topic],
                    sent.value,
                    sent.key,
                    headers=sent.headers,
                    timestamp_ms=at,
                )

    async def fold(self) -> tuple[Snapshot, LogBooks]:
        """Read it all."""
        async with opened(self.settings, self.topics, groups=()) as log:
            snapshot = await log.snapshot(wait=30)
            return snapshot, await log.fold(
                snapshot, INVENTORY_FIRST, None, lambda done, words: None
            )


@pytest.fixture
async def log(local_servers: LocalServers) -> Log:
    prefix = uuid4().hex[:8]
    names = {name: f"{prefix}.{name}" for name in topics_of(INVENTORY_FIRST)}
    await create_topics(local_servers.kafka, names.values())
    return Log(Settings(kafka_bootstrap_servers=local_servers.kafka), names)


def played(*, number: int = 1, orders: int = 1, fails: str | None = None) -> list[Event]:
    """The events of some orders, each of one unit."""
    run = Played.of(INVENTORY_FIRST, apple=1000)
    for each in range(number, number + orders):
        if fails is not None:
            run.world.let_fail(fails, order_id(each))
        run.order(order(number=each))
    return [event for _, event in run.run().log]


def without(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event.type != kind]


async def test_orders_of_all_partitions_are_added_up_in_passes_without_a_trace(
    log: Log, local_servers: LocalServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        *played(orders=ORDERS),
        *played(number=100, orders=ORDERS, fails="payment"),
        *played(number=200, orders=ORDERS, fails="inventory"),
    ]
    await log.write(events)
    async with producing(local_servers.kafka) as producer:
        await producer.send_and_wait(log.names[ORDER.name], b"not an order", b"x")
    # So many that each partition takes some, and each topic is read in pieces.
    monkeypatch.setattr(saga_log, "RECORDS_A_PASS", 5)
    monkeypatch.setattr(saga_log, "RECORDS_A_PIECE", 3)
    admin = AIOKafkaAdminClient(bootstrap_servers=local_servers.kafka)
    await admin.start()
    try:
        before = await admin.list_consumer_groups()
        snapshot, found = await log.fold()
        assert sorted(before) == sorted(await admin.list_consumer_groups())
    finally:
        await admin.close()

    assert [] == problems(found)
    assert (True, False, len(events) + 1) == (snapshot.at_rest, snapshot.cut, snapshot.records)
    assert (len(events) + 1, 1) == (found.records, found.foreign)
    assert (3 * ORDERS, ORDERS) == (found.orders, found.confirmed)
    assert {"PAYMENT_FAILED": ORDERS, "OUT_OF_STOCK": ORDERS} == found.cancelled
    assert (ORDERS * PRICE, ORDERS * PRICE, ORDERS) == (found.revenue, found.charged, found.units)


def second_end() -> list[Event]:
    return [*played(), after(placed(), "OrderCancelled", timestamp(START), of=order())]


def end_without_cause() -> list[Event]:
    return without(played(), "PaymentProcessed")


def two_contents() -> list[Event]:
    events = played()
    first = events[0]
    assert isinstance(first.data, OrderPlaced)
    other = first.data.model_copy(update={"user_id": "somebody-else"})
    return [*events, replace(first, data=other)]


def stock_left() -> list[Event]:
    return without(played(fails="payment"), "InventoryReleased")


def money_left() -> list[Event]:
    run = Played.of(INVENTORY_FIRST, apple=1)
    run.order(order())
    run.move(lambda: run.world.cancel(order_id(1), "CANCELLED_BY_USER"))
    for _ in range(2):
        run.move(lambda: run.world.deliver("order", ORDER.name))
    return without([event for _, event in run.run().log], "PaymentRefunded")


def another_amount() -> list[Event]:
    events = played()
    return [
        replace(e, data=e.data.model_copy(update={"total": PRICE + 100}))
        if e.type == "OrderConfirmed"
        else e
        for e in events
    ]


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (second_end, "two ends: OrderConfirmed and OrderCancelled"),
        (end_without_cause, "OrderConfirmed without PaymentProcessed"),
        (two_contents, "OrderPlaced: one event id has two contents"),
        (stock_left, "OrderCancelled, but its stock is still held"),
        (money_left, "OrderCancelled, but its money was not given back"),
        (another_amount, "OrderConfirmed is of 3.55, ordered were 2.55"),
    ],
)
async def test_a_planted_fault_is_found_and_named(
    log: Log, plant: Callable[[], list[Event]], words: str
) -> None:
    await log.write([*plant(), *played(number=50)])

    _, found = await log.fold()

    assert any(words in problem for problem in problems(found)), problems(found)
    assert {order_id(1)} == {each.key for each in found.discrepancies}


async def test_what_retention_has_cut_is_said_and_not_missed(
    log: Log, local_servers: LocalServers
) -> None:
    await log.write(played(), at=OLD_MS)
    async with opened(log.settings, log.topics, groups=()) as onlooker:
        old = await onlooker.snapshot(wait=30)
    await log.write(played(number=50))
    admin = AIOKafkaAdminClient(bootstrap_servers=local_servers.kafka)
    await admin.start()
    try:
        ends = {tp: end for tp, end in old.ends().items() if tp.topic == log.names[ORDER.name]}
        await admin.delete_records(
            {TopicPartition(*tp): RecordsToDelete(end) for tp, end in ends.items() if end}
        )
    finally:
        await admin.close()

    snapshot, found = await log.fold()

    assert snapshot.cut
    assert ([], 1, 2) == (problems(found), found.cut, found.orders)


async def test_a_group_that_is_behind_is_waited_for_and_then_said(log: Log) -> None:
    await log.write(played())

    async with opened(log.settings, log.topics, groups=("no-such-group",)) as onlooker:
        snapshot = await onlooker.snapshot(wait=0)

    assert not snapshot.at_rest


async def test_a_topic_or_a_broker_that_is_not_there_is_said(local_servers: LocalServers) -> None:
    here = Settings(kafka_bootstrap_servers=local_servers.kafka)
    nowhere = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")

    async with opened(here, {"no.such.topic": ORDER}, groups=()) as onlooker:
        with pytest.raises(CommandError, match=r"no topic no\.such\.topic"):
            await onlooker.snapshot(wait=0)
    with pytest.raises(CommandError, match="KAFKA_BOOTSTRAP_SERVERS") as error:
        async with opened(nowhere, topics_of(INVENTORY_FIRST)):
            pass
    assert UNREACHABLE == error.value.status
