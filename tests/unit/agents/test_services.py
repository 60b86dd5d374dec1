"""The services over in-memory servers: state reads, locks, writes are a few a batch."""

import pytest

from app.agents.inventory import InventoryService
from app.agents.order import OrderService
from app.agents.payment import PaymentService
from app.events import Event, timestamp
from app.providers.simulated import SimulatedProvider
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, SAGAS, Saga
from app.settings import Settings
from app.stores import repositories
from app.stores.errors import ConflictError, LeaseUnavailableError
from app.stores.stock import StockStore
from tests.builders import START, TickingClock, after, order, order_id, placed
from tests.unit.agents.fakes import (
    CrashError,
    FakeDatabase,
    FakeProvider,
    FakeRedis,
    heard,
    resources,
    run,
)
from tests.unit.saga.choreography import Choreography

ORDERS = range(1, 101)
AT = timestamp(START)
both_sagas = pytest.mark.parametrize("saga", SAGAS.values(), ids=SAGAS.keys())
PRODUCTS = [f"product-{n}" for n in range(10)]


def basket(number: int) -> dict[str, int]:
    return {PRODUCTS[number % 10]: 1, PRODUCTS[(number + 3) % 10]: 2}


def reserved(number: int) -> Event:
    of = order(basket(number), number=number)
    return after(placed(basket(number), number=number), "InventoryReserved", AT, of=of)


def failed(number: int) -> Event:
    of = order(basket(number), number=number)
    return after(reserved(number), "PaymentFailed", AT, of=of)


def stocked(units: int) -> FakeDatabase:
    database = FakeDatabase()
    run(StockStore(database[repositories.STOCK]).put(dict.fromkeys(PRODUCTS, units)))  # type: ignore[arg-type]
    database[repositories.STOCK].bulk_writes = 0
    return database


def test_the_order_service_loads_once_and_saves_once_a_batch() -> None:
    database = FakeDatabase()
    service = OrderService(resources(database), INVENTORY_FIRST)
    batch = [e for n in ORDERS for e in (placed(basket(n), number=n), reserved(n))]
    assert 200 == len(batch)

    assert [] == run(service.handle(batch))

    orders = database[repositories.ORDERS]
    assert (1, 1) == (orders.finds, orders.bulk_writes)
    assert 100 == len(orders.stored)


def test_the_inventory_service_locks_once_and_reads_and_writes_each_store_once_a_batch() -> None:
    database, redis = stocked(1000), FakeRedis()
    service = InventoryService(resources(database, redis), INVENTORY_FIRST)
    batch = [placed(basket(n), number=n) for n in ORDERS]

    events = heard(run(service.handle([*batch, *batch])))

    assert (1, 1) == (redis.acquired, redis.released)
    assert {} == redis.held
    for name in (repositories.STOCK, repositories.RESERVATIONS):
        assert (1, 1) == (database[name].finds, database[name].bulk_writes)
    assert ["InventoryReserved"] * 200 == [event.type for event in events]
    assert events[:100] == events[100:]
    stock = database[repositories.STOCK].documents()
    assert 300 == sum(sum(document["holds"].values()) for document in stock.values())


def test_the_inventory_service_says_again_what_it_has_decided_and_writes_nothing() -> None:
    database, redis = stocked(1000), FakeRedis()
    service = InventoryService(resources(database, redis), INVENTORY_FIRST)
    batch = [placed(basket(n), number=n) for n in ORDERS]
    first = run(service.handle(batch))

    assert first == run(service.handle(batch))

    stock, kept = database[repositories.STOCK], database[repositories.RESERVATIONS]
    assert (1, 1) == (stock.bulk_writes, kept.bulk_writes)


def test_the_payment_service_loads_saves_and_asks_its_provider_once_a_batch() -> None:
    database, provider = FakeDatabase(), FakeProvider(declines={order_id(7)})
    service = PaymentService(resources(database), INVENTORY_FIRST, provider)
    batch = [reserved(n) for n in ORDERS]

    events = heard(run(service.handle([*batch, *batch])))

    payments = database[repositories.PAYMENTS]
    assert (1, 1) == (payments.finds, payments.bulk_writes)
    assert [100] == [len(call) for call in provider.calls]
    assert events[:100] == events[100:]
    assert {order_id(7)} == {e.order_id for e in events if e.type == "PaymentFailed"}
    assert 99 == len({e.order_id for e in events if e.type == "PaymentProcessed"})


def test_a_whole_batch_costs_the_simulated_provider_one_read_and_one_write() -> None:
    database = FakeDatabase()
    ledger = database[repositories.LEDGER]
    provider = SimulatedProvider(ledger)  # type: ignore[arg-type]
    service = PaymentService(resources(database), INVENTORY_FIRST, provider)

    run(service.handle([reserved(n) for n in ORDERS]))

    assert (1, 1) == (ledger.finds, ledger.bulk_writes)
    assert 100 == len(ledger.stored)


def test_nothing_is_written_where_nothing_changed() -> None:
    database = FakeDatabase()
    service = OrderService(resources(database), INVENTORY_FIRST)
    batch = [placed(number=n) for n in ORDERS]
    run(service.handle(batch))

    run(service.handle(batch))

    assert 1 == database[repositories.ORDERS].bulk_writes


def test_an_end_of_an_order_that_was_never_heard_of_is_left_alone() -> None:
    database = FakeDatabase()
    confirmed = after(placed(), "OrderConfirmed", AT, of=order())

    for service in (
        OrderService(resources(database), INVENTORY_FIRST),
        InventoryService(resources(database), INVENTORY_FIRST),
        PaymentService(resources(database), INVENTORY_FIRST, FakeProvider()),
    ):
        assert [] == run(service.handle([confirmed]))

    assert {} == {n: c.stored for n, c in database.collections.items() if c.stored}


def test_a_charge_and_its_refund_in_one_batch_are_two_calls_in_that_order() -> None:
    provider = FakeProvider()
    service = PaymentService(resources(), PAYMENT_FIRST, provider)
    rejected = after(placed(), "InventoryRejected", AT, of=order())

    events = heard(run(service.handle([placed(), rejected])))

    assert ["PaymentProcessed", "PaymentRefunded"] == [event.type for event in events]
    assert ["charge", "refund"] == [request.action for call in provider.calls for request in call]
    assert {} == provider.charged


def test_a_crash_after_the_charge_charges_no_second_time() -> None:
    database, provider = FakeDatabase(), FakeProvider()
    service = PaymentService(resources(database), INVENTORY_FIRST, provider)
    database[repositories.PAYMENTS].crash = lambda count: ()
    with pytest.raises(CrashError):
        run(service.handle([reserved(1)]))

    (event,) = heard(run(service.handle([reserved(1)])))

    assert "PaymentProcessed" == event.type
    assert {order_id(1): order(basket(1)).total} == provider.charged


def test_a_crash_between_stock_and_reservations_holds_the_stock_once() -> None:
    database = stocked(10)
    service = InventoryService(resources(database), INVENTORY_FIRST)
    database[repositories.RESERVATIONS].crash = lambda count: ()
    with pytest.raises(CrashError):
        run(service.handle([placed({PRODUCTS[0]: 4})]))

    run(service.handle([placed({PRODUCTS[0]: 4})]))

    product = database[repositories.STOCK].documents()[PRODUCTS[0]]
    assert (6, {order_id(1): 4}) == (product["available"], product["holds"])


def test_the_locks_are_given_back_when_the_write_fails() -> None:
    database, redis = stocked(10), FakeRedis()
    service = InventoryService(resources(database, redis), INVENTORY_FIRST)
    database[repositories.STOCK].crash = lambda count: ()

    with pytest.raises(CrashError):
        run(service.handle([placed({PRODUCTS[0]: 1})]))

    assert {} == redis.held


def test_a_write_under_a_lease_that_another_took_over_is_refused() -> None:
    database, redis = stocked(1), FakeRedis()
    late = InventoryService(resources(database, redis), INVENTORY_FIRST)
    quick = InventoryService(resources(database, redis), INVENTORY_FIRST)

    def meanwhile() -> None:
        redis.expire_all()
        run(quick.handle([placed({PRODUCTS[0]: 1}, number=2)]))

    database[repositories.STOCK].meanwhile = meanwhile
    with pytest.raises(ConflictError):
        run(late.handle([placed({PRODUCTS[0]: 1}, number=1)]))

    assert {order_id(2): 1} == database[repositories.STOCK].documents()[PRODUCTS[0]]["holds"]
    (event,) = heard(run(late.handle([placed({PRODUCTS[0]: 1}, number=1)])))
    assert "InventoryRejected" == event.type


def test_no_stock_is_written_when_the_lease_might_run_out_meanwhile() -> None:
    database = stocked(1)
    settings = Settings().model_copy(update={"lock_lease_seconds": 5.0})
    service = InventoryService(resources(database, settings=settings), INVENTORY_FIRST)

    with pytest.raises(LeaseUnavailableError):
        run(service.handle([placed({PRODUCTS[0]: 1})]))

    assert 0 == database[repositories.STOCK].bulk_writes


def test_fencing_tokens_grow_past_what_the_documents_have_seen_when_redis_comes_back_empty() -> (
    None
):
    database, redis = stocked(10), FakeRedis()
    service = InventoryService(resources(database, redis), INVENTORY_FIRST)
    redis.token = 1000
    run(service.handle([placed({PRODUCTS[0]: 1}, number=1)]))
    redis.token = 0

    run(service.handle([placed({PRODUCTS[0]: 1}, number=2)]))

    assert 1002 == database[repositories.STOCK].documents()[PRODUCTS[0]]["fence"]


def test_another_process_learns_the_highest_token_from_the_first_refusal() -> None:
    database, redis = stocked(10), FakeRedis()
    redis.token = 1000
    run(
        InventoryService(resources(database, redis), INVENTORY_FIRST).handle(
            [placed({PRODUCTS[0]: 1}, number=1)]
        )
    )
    redis.token = 0
    other = InventoryService(resources(database, redis), INVENTORY_FIRST)
    with pytest.raises(ConflictError):
        run(other.handle([placed({PRODUCTS[0]: 1}, number=2)]))

    (event,) = heard(run(other.handle([placed({PRODUCTS[0]: 1}, number=2)])))

    assert "InventoryReserved" == event.type


def test_an_order_confirmed_in_the_batch_that_placed_it_is_sold_from_its_hold() -> None:
    database = stocked(10)
    service = InventoryService(resources(database), INVENTORY_FIRST)
    wanted = {PRODUCTS[0]: 4}
    confirmed = after(placed(wanted), "OrderConfirmed", AT, of=order(wanted))

    run(service.handle([placed(wanted), confirmed]))

    product = database[repositories.STOCK].documents()[PRODUCTS[0]]
    assert (6, {}, 4) == (product["available"], product["holds"], product["sold"])


def test_the_simulated_failure_rate_rejects_orders_that_could_be_filled() -> None:
    database = stocked(10)
    settings = Settings(inventory_failure_rate=1.0)
    service = InventoryService(resources(database, settings=settings), INVENTORY_FIRST)

    (event,) = heard(run(service.handle([placed({PRODUCTS[0]: 1})])))

    assert "InventoryRejected" == event.type
    assert {} == database[repositories.STOCK].documents()[PRODUCTS[0]]["holds"]


def test_the_end_of_an_order_is_told_in_the_same_words_after_it_was_stored() -> None:
    database, clock = FakeDatabase(), TickingClock(START)
    placed_at = START.replace(microsecond=123_456)
    first = placed()
    data = type(first.data).model_validate(
        {**first.data.model_dump(by_alias=True), "placedAt": placed_at}
    )
    first = Event.first(data, source="web", at=AT)
    saga = [first]
    for kind in ("InventoryReserved", "PaymentProcessed"):
        saga.append(after(saga[-1], kind, AT, of=data))  # type: ignore[arg-type]
    service = OrderService(resources(database, clock=clock), INVENTORY_FIRST)

    told = run(service.handle(saga))

    assert 1 == len(told)
    assert told == run(service.handle(saga))


@pytest.mark.parametrize(
    ("service", "saga", "topics"),
    [
        ("order", INVENTORY_FIRST, ("order", "inventory", "payment")),
        ("inventory", INVENTORY_FIRST, ("order", "payment")),
        ("payment", INVENTORY_FIRST, ("inventory", "order", "payment")),
        ("order", PAYMENT_FIRST, ("order", "payment", "inventory")),
        ("inventory", PAYMENT_FIRST, ("payment", "order")),
        ("payment", PAYMENT_FIRST, ("order", "inventory", "payment")),
    ],
)
def test_each_service_listens_to_the_topics_of_the_events_it_acts_on(
    service: str, saga: Saga, topics: tuple[str, ...]
) -> None:
    assert tuple(f"{topic}.events.v1" for topic in topics) == listening(saga)[service]


@both_sagas
def test_the_stories_participants_listen_where_the_services_listen(saga: Saga) -> None:
    world = Choreography(saga)

    assert {p.name: world.reads(p.name) for p in world.participants} == listening(saga)


def listening(saga: Saga) -> dict[str, tuple[str, ...]]:
    """The topics of each service."""
    return {
        "order": OrderService(resources(), saga).topics,
        "inventory": InventoryService(resources(), saga).topics,
        "payment": PaymentService(resources(), saga, FakeProvider()).topics,
    }


def shelved(database: FakeDatabase) -> set[tuple[int, int]]:
    """How many are available of a product, and how many orders hold it; of all products."""
    shelf = database[repositories.STOCK].documents().values()
    return {(product["available"], len(product["holds"])) for product in shelf}


def cancelling(number: int) -> Event:
    of = order(basket(number), number=number)
    return after(placed(basket(number), number=number), "OrderCancelling", AT, of=of)


def trigger(saga: Saga, step: str, number: int) -> Event:
    """The event that a step of the order waits for."""
    first = placed(basket(number), number=number)
    kind = saga.trigger(step)
    if kind == first.type:
        return first
    return after(first, kind, AT, of=order(basket(number), number=number))


@both_sagas
def test_a_hundred_orders_are_held_and_cancelled_in_one_batch_with_one_lock_round(
    saga: Saga,
) -> None:
    database, redis = stocked(1000), FakeRedis()
    service = InventoryService(resources(database, redis), saga)
    batch = [e for n in ORDERS for e in (trigger(saga, "inventory", n), cancelling(n))]

    events = heard(run(service.handle(batch)))

    assert (1, 1) == (redis.acquired, redis.released)
    stock, kept = database[repositories.STOCK], database[repositories.RESERVATIONS]
    assert (1, 1) == (stock.finds, stock.bulk_writes)
    # Once to know what to lock, once under the locks.
    assert (2, 1) == (kept.finds, kept.bulk_writes)
    assert ["InventoryReserved", "InventoryReleased"] * 100 == [event.type for event in events]
    assert {(1000, 0)} == shelved(database)


@both_sagas
def test_of_orders_cancelled_before_their_trigger_nothing_is_held_or_charged(saga: Saga) -> None:
    database, redis, provider = stocked(1000), FakeRedis(), FakeProvider()
    inventory = InventoryService(resources(database, redis), saga)
    payment = PaymentService(resources(database), saga, provider)

    for service, step, promise in (
        (inventory, "inventory", "InventoryReleased"),
        (payment, "payment", "PaymentRefunded"),
    ):
        said = heard(run(service.handle([cancelling(n) for n in ORDERS])))
        assert [promise] * 100 == [event.type for event in said]
        assert [] == run(service.handle([trigger(saga, step, n) for n in ORDERS]))
        assert said == heard(run(service.handle([cancelling(n) for n in ORDERS])))

    assert {(1000, 0)} == shelved(database)
    assert {} == provider.charged
    assert ["withdraw"] * 100 == [request.action for call in provider.calls for request in call]


def test_holds_that_a_crash_left_of_an_order_cancelled_meanwhile_are_given_back() -> None:
    database = stocked(10)
    service = InventoryService(resources(database), PAYMENT_FIRST)
    database[repositories.RESERVATIONS].crash = lambda count: ()
    with pytest.raises(CrashError):
        run(service.handle([trigger(PAYMENT_FIRST, "inventory", 1)]))
    assert {(10, 0), (9, 1), (8, 1)} == shelved(database)

    (said,) = heard(run(service.handle([cancelling(1)])))
    assert [] == run(service.handle([trigger(PAYMENT_FIRST, "inventory", 1)]))

    assert "InventoryReleased" == said.type
    assert {(10, 0)} == shelved(database)


@both_sagas
def test_a_charge_that_a_crash_left_of_an_order_cancelled_meanwhile_is_given_back(
    saga: Saga,
) -> None:
    database, provider = FakeDatabase(), FakeProvider()
    service = PaymentService(resources(database), saga, provider)
    database[repositories.PAYMENTS].crash = lambda count: ()
    with pytest.raises(CrashError):
        run(service.handle([trigger(saga, "payment", 1)]))
    assert [order_id(1)] == list(provider.charged)

    (said,) = heard(run(service.handle([cancelling(1)])))
    assert [] == run(service.handle([trigger(saga, "payment", 1)]))

    assert "PaymentRefunded" == said.type
    assert {} == provider.charged


@both_sagas
@pytest.mark.parametrize("cancelled_first", [True, False])
def test_a_trigger_and_its_cancellation_in_one_batch_leave_nothing_charged(
    saga: Saga, cancelled_first: bool
) -> None:
    provider = FakeProvider()
    service = PaymentService(resources(), saga, provider)
    batch = [cancelling(1), trigger(saga, "payment", 1)]

    run(service.handle(batch if cancelled_first else batch[::-1]))

    assert {} == provider.charged


@both_sagas
def test_the_order_service_grants_a_hundred_requests_in_one_load_and_one_save(saga: Saga) -> None:
    database, clock = FakeDatabase(), TickingClock(START)
    service = OrderService(resources(database, clock=clock), saga)
    requests = [
        after(placed(number=n), "CancellationRequested", AT, of=order(number=n)) for n in ORDERS
    ]

    said = run(service.handle([*(placed(number=n) for n in ORDERS), *requests]))

    orders = database[repositories.ORDERS]
    assert (1, 1) == (orders.finds, orders.bulk_writes)
    assert ["OrderCancelling"] * 100 == [event.type for event in heard(said)]
    assert said == run(service.handle(requests))
