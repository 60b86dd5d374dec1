"""States as documents on a real wire server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, monitoring
from pymongo.errors import BulkWriteError

from app.domain.inventory import Reservation, ReservationStatus
from app.domain.order import HistoryEntry, Order, OrderStatus
from app.domain.payment import Payment, PaymentStatus
from app.settings import Settings
from app.stores import mongo, repositories
from app.stores.errors import ConflictError, TransientStoreError
from app.stores.mongo import Database, DocumentStore
from infra.local.testing import LocalServers
from tests.builders import order, order_id
from tests.kafka import eventually

pytestmark = pytest.mark.timeout(120)
# Also a busy machine's server, started just now, answers within it.
MONGO_SECONDS = 3.0

State = dict[str, Any]


@pytest.fixture
def store(database: Database) -> DocumentStore[State]:
    return DocumentStore(
        database["things"],
        encode=dict,
        decode=lambda document: {k: v for k, v in document.items() if k not in ("_id", "version")},
    )


async def put(store: DocumentStore[State], key: str, state: State) -> None:
    await store.save([(key, (await store.load([key]))[key], state)])


async def save(store: DocumentStore[Any], state: Order | Reservation | Payment) -> None:
    """Save the state over whatever is stored."""
    key = state.order_id
    await store.save([(key, (await store.load([key]))[key], state)])


async def test_a_state_is_loaded_as_it_was_saved_and_a_missing_one_is_none(
    store: DocumentStore[State],
) -> None:
    await put(store, "a", {"n": 1})

    found = await store.load(["a", "b"])

    assert [{"n": 1}, None] == [found[key].state for key in ("a", "b")]
    assert [1, 0] == [found[key].version for key in ("a", "b")]
    assert {"n": 1} == await store.get("a")
    assert await store.get("b") is None
    assert {} == await store.load([])


async def test_every_save_raises_the_version(store: DocumentStore[State]) -> None:
    for n in range(1, 4):
        await put(store, "a", {"n": n})
        assert n == (await store.load(["a"]))["a"].version


async def test_a_state_inserted_twice_is_a_conflict(store: DocumentStore[State]) -> None:
    mine = await store.load(["a"])
    theirs = await store.load(["a"])
    await store.save([("a", theirs["a"], {"n": "theirs"})])

    with pytest.raises(ConflictError):
        await store.save([("a", mine["a"], {"n": "mine"})])

    assert {"n": "theirs"} == await store.get("a")


async def test_an_update_over_a_state_that_changed_meanwhile_is_a_conflict(
    store: DocumentStore[State],
) -> None:
    await put(store, "a", {"n": 0})
    mine, theirs = await store.load(["a"]), await store.load(["a"])
    await store.save([("a", theirs["a"], {"n": "theirs"})])

    with pytest.raises(ConflictError, match="1 documents changed"):
        await store.save([("a", mine["a"], {"n": "mine"})])

    assert {"n": "theirs"} == await store.get("a")


async def test_of_two_savers_at_once_one_wins(store: DocumentStore[State]) -> None:
    await put(store, "a", {"n": 0})
    loaded = await store.load(["a"])

    outcomes = await asyncio.gather(
        *(store.save([("a", loaded["a"], {"n": n})]) for n in range(1, 11)),
        return_exceptions=True,
    )

    assert 9 == sum(isinstance(outcome, ConflictError) for outcome in outcomes)
    (winner,) = [n for n, outcome in enumerate(outcomes, start=1) if outcome is None]
    assert {"n": winner} == await store.get("a")
    assert 2 == (await store.load(["a"]))["a"].version


@pytest.mark.parametrize("exists", [True, False], ids=["update", "insert"])
async def test_a_partial_save_is_mended_by_loading_and_deciding_again(
    store: DocumentStore[State], exists: bool
) -> None:
    keys = [f"k{n}" for n in range(10)]
    if exists:
        await store.save([(k, s, {"n": 0}) for k, s in (await store.load(keys)).items()])
    stale = await store.load(keys)
    await put(store, "k3", {"n": 100})

    with pytest.raises(ConflictError, match="1 documents"):
        await store.save([(key, stale[key], {"n": 1}) for key in keys])

    again = await store.load(keys)
    written = [key for key in keys if again[key].state == {"n": 1}]
    assert [key for key in keys if key != "k3"] == written
    await store.save([("k3", again["k3"], {"n": 101})])
    assert {"n": 101} == await store.get("k3")


class Commands(monitoring.CommandListener):
    """Remembers the update commands that were sent."""

    def __init__(self) -> None:
        self.updates: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "update":
            self.updates.extend(event.command["updates"])

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture(params=("pymongo", "motor"))
def mongo_driver(request: pytest.FixtureRequest) -> str:
    """Each of those that can be chosen."""
    return str(request.param)


@pytest.fixture
async def watched(store_servers: LocalServers) -> AsyncIterator[tuple[Any, Commands]]:
    """A database whose commands are remembered."""
    commands = Commands()
    client: Any = AsyncMongoClient(
        store_servers.mongodb_url, event_listeners=[commands], tz_aware=True
    )
    yield client["watched"], commands
    await client.drop_database("watched")
    await client.close()


async def test_only_the_fields_that_changed_are_set(watched: tuple[Any, Commands]) -> None:
    database, commands = watched
    store = repositories.orders(database)
    before = Order(order_id(1), order(), history=(HistoryEntry("OrderPlaced", "1"),))
    await save(store, before)
    reserved = HistoryEntry("InventoryReserved", "2")
    after = Order(before.order_id, order(), history=(*before.history, reserved))

    await save(store, after)

    (update,) = commands.updates
    assert {"_id": before.order_id, "version": 1} == update["q"]
    assert {"$set"} == update["u"].keys()
    assert {"history", "updatedAt", "version"} == update["u"]["$set"].keys()
    assert after == await store.get(before.order_id)


BASKET = {"apple": 2, "a.b $x": 1}
ORDERS = [
    Order(order_id(1), None, history=(HistoryEntry("InventoryReserved", "1"),)),
    Order(order_id(2), order(BASKET, number=2), history=(HistoryEntry("OrderPlaced", "1"),)),
    Order(
        order_id(3),
        order(BASKET, number=3).model_copy(update={"fingerprint": "abc", "country": None}),
        OrderStatus.CANCELLED,
        "PAYMENT_FAILED",
        (HistoryEntry("OrderPlaced", "1"), HistoryEntry("OrderCancelled", "2")),
        "ended-by",
    ),
]


@pytest.mark.parametrize("state", ORDERS, ids=["waiting", "placed", "ended"])
async def test_an_order_is_read_as_it_was_written(database: Database, state: Order) -> None:
    store = repositories.orders(database)

    await save(store, state)

    assert state == await store.get(state.order_id)


@pytest.mark.parametrize("status", ReservationStatus)
async def test_a_reservation_is_read_as_it_was_written(
    database: Database, status: ReservationStatus
) -> None:
    store = repositories.reservations(database)
    state = Reservation(
        order_id(1), status, {"a.b": 2, "$x": 1}, "1", "OUT_OF_STOCK", ("a.b",), ended_at="2"
    )

    await save(store, state)

    assert state == await store.get(order_id(1))


@pytest.mark.parametrize("status", PaymentStatus)
async def test_a_payment_is_read_as_it_was_written(
    database: Database, status: PaymentStatus
) -> None:
    store = repositories.payments(database)
    state = Payment(order_id(1), 10**14, status, "1", "pay-1", "why", "2")

    await save(store, state)

    assert state == await store.get(order_id(1))


def test_writes_that_the_majority_did_not_acknowledge_pass_by_asking_again() -> None:
    unacknowledged = BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91}]})

    with pytest.raises(TransientStoreError) as raised, mongo.translated():
        raise unacknowledged

    assert not isinstance(raised.value, ConflictError)


def test_a_write_that_the_server_refuses_for_good_is_no_passing_fault() -> None:
    refused = BulkWriteError({"writeErrors": [{"code": 11000}, {"code": 2}]})

    with pytest.raises(BulkWriteError), mongo.translated():
        raise refused


@pytest.mark.timeout(180)
async def test_a_stopped_server_is_a_passing_fault_and_its_data_is_there_again(
    tmp_path: Path,
) -> None:
    with LocalServers(tmp_path, only=("mongo",)) as servers:
        database = mongo.connect(
            Settings(mongodb_url=servers.mongodb_url, mongo_timeout_seconds=MONGO_SECONDS)
        )
        store = repositories.payments(database)
        paid = Payment(order_id(1), 255, PaymentStatus.CHARGED, "1", "pay-1")
        fresh = await store.load([order_id(1), order_id(2)])
        await store.save([(order_id(1), fresh[order_id(1)], paid)])
        servers.stop("mongo")

        began = time.monotonic()
        with pytest.raises(TransientStoreError):
            await store.load([order_id(1)])
        with pytest.raises(TransientStoreError):
            await store.save([(order_id(2), fresh[order_id(2)], paid)])
        with pytest.raises(TransientStoreError):
            await mongo.ping(database)
        # A time limit for each of the three, and one for a busy machine.
        assert time.monotonic() - began < 4 * MONGO_SECONDS

        servers.start("mongo")

        async def again() -> Payment | None:
            try:
                return await store.get(order_id(1))
            except TransientStoreError:
                return None

        assert paid == await eventually(again, 60, "the payment can be read again")
        await mongo.close(database)
