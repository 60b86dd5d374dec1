"""Adding a step is one entry in the table and one participant: shipping, wherever it stands."""

from dataclasses import replace
from itertools import permutations

import pytest

from app import topics
from app.agents.folding import outgoing
from app.agents.inventory import InventoryService
from app.agents.order import OrderService
from app.agents.payment import PaymentService
from app.domain.order import OrderStatus
from app.events import EVENT_TYPES, CancellationRequested
from app.saga import INVENTORY, INVENTORY_FIRST, PAYMENT, PAYMENT_FIRST, Saga, SagaState
from tests.builders import BY_USER
from tests.saga_dsl import Told, saga
from tests.unit.agents.fakes import FakeProvider, heard, resources, run
from tests.unit.saga import shipping
from tests.unit.saga.choreography import Choreography, Faults, every_ending
from tests.unit.saga.shipping import SHIPPING, ShippingService
from tests.unit.saga.stories import BASKET, REASONS

LAST = replace(INVENTORY_FIRST, steps=(*INVENTORY_FIRST.steps, SHIPPING))
TABLES = [
    replace(INVENTORY_FIRST, steps=steps) for steps in permutations((INVENTORY, PAYMENT, SHIPPING))
]
REASON = {**REASONS, "shipping": "NO_CARRIER"}

wherever = pytest.mark.parametrize(
    "table", TABLES, ids=[" ".join(step.name for step in table.steps) for table in TABLES]
)


def begun(table: Saga) -> Told:
    """An order of what is there was placed in a saga that ships."""
    told = saga(table, [ShippingService(table)], [shipping.TOPIC])
    return told.with_stock(apple=5, pear=3).given(BASKET)


def test_the_table_routes_the_step_like_any_other() -> None:
    assert "PaymentProcessed" == LAST.trigger("shipping")
    assert ("OrderCancelling",) == LAST.undo_triggers("shipping")
    assert ("ShipmentFailed", "OrderCancelling") == LAST.undo_triggers("payment")
    failed = {"OrderPlaced", "InventoryReserved", "PaymentProcessed", "ShipmentFailed"}
    assert (INVENTORY, PAYMENT) == LAST.owed(failed)
    assert "payment" == LAST.current(failed)
    assert (INVENTORY,) == LAST.owed({*failed, "PaymentRefunded"})
    assert SagaState.ABORTED is LAST.state({*failed, "PaymentRefunded", "InventoryReleased"})


@wherever
def test_an_order_that_is_held_paid_and_shipped_is_confirmed(table: Saga) -> None:
    told = begun(table).expect(*(step.done for step in table.steps)).ends("OrderConfirmed")

    assert {"apple": (3, 0, 2), "pear": (0, 0, 3)} == told.stock


@wherever
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_step_that_fails_undoes_those_before_it_and_those_alone(
    table: Saga, position: int
) -> None:
    before, failing = table.steps[:position], table.steps[position]
    told = begun(table).expect(*(step.done for step in before)).given_failure(failing.failed)

    for step in before:
        told.hears(step.name, failing.failed).expect_compensated(step.undone)

    told.ends("OrderCancelled", reason=REASON[failing.name])
    assert {"apple": (5, 0, 0), "pear": (3, 0, 0)} == told.stock


@wherever
@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_cancelled_order_undoes_what_was_done_and_never_does_the_rest(
    table: Saga, position: int
) -> None:
    done, ahead = table.steps[:position], table.steps[position:]
    told = begun(table).expect(*(step.done for step in done)).given_cancelled()
    told.hears("order", "CancellationRequested").expect("OrderCancelling")

    for step in reversed(ahead):
        if table.trigger(step.name) != table.starts:
            told.hears(step.name, "OrderCancelling").expect_void(step.undone)
    for step in done:
        told.hears(step.name, "OrderCancelling").expect_compensated(step.undone)
    if not done:
        # Whoever hears of the order first hears of it in the topic that tells of its end.
        told.expect(table.steps[0].done).expect_compensated(table.steps[0].undone)

    told.ends("OrderCancelled", reason=BY_USER)


@wherever
@pytest.mark.parametrize("fails", [None, "inventory", "payment", "shipping"])
def test_any_interleaving_ends_consistently(table: Saga, fails: str | None) -> None:
    world = Choreography(table, [ShippingService(table)], [shipping.TOPIC])
    world.inventory.stock({"apple": 5, "pear": 3})
    if fails is not None:
        world.let_fail(fails, BASKET.order_id)
    world.ask(BASKET)
    request = CancellationRequested(order_id=BASKET.order_id, reason=BY_USER)

    endings = every_ending(world, Faults((request,)))

    found = set()
    for ending in endings:
        ending.assert_settled(BASKET.order_id)
        order = ending.order.orders[BASKET.order_id]
        found.add((order.status, order.reason))
    alone: tuple[OrderStatus, str | None] = (OrderStatus.CONFIRMED, None)
    if fails is not None:
        alone = (OrderStatus.CANCELLED, REASON[fails])
    assert {alone, (OrderStatus.CANCELLED, BY_USER)} == found


@wherever
def test_it_is_duplicated_like_any_other_step(table: Saga) -> None:
    told = begun(table).with_duplicates().expect(*(step.done for step in table.steps))

    told.given_cancelled().hears("order", table.steps[-1].done).ends("OrderConfirmed")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step's topic and events are in the registries."""
    monkeypatch.setitem(topics.BY_NAME, shipping.TOPIC.name, shipping.TOPIC)
    for event in shipping.TOPIC.events:
        monkeypatch.setitem(topics.BY_EVENT, event.__name__, shipping.TOPIC)
        monkeypatch.setitem(EVENT_TYPES, event.__name__, event)


@pytest.mark.usefixtures("registered")
def test_the_real_services_listen_to_its_topic_where_they_must() -> None:
    heard = {
        "order": OrderService(resources(), LAST).topics,
        "inventory": InventoryService(resources(), LAST).topics,
        "payment": PaymentService(resources(), LAST, FakeProvider()).topics,
    }
    world = Choreography(LAST, [ShippingService(LAST)], [shipping.TOPIC])

    assert {name: set(world.reads(name)) for name in heard} == {
        name: set(found) for name, found in heard.items()
    }
    assert all(shipping.TOPIC.name in found for found in heard.values())


@pytest.mark.usefixtures("registered")
def test_its_events_cross_the_wire_and_the_real_services_take_them() -> None:
    told = begun(LAST).expect("InventoryReserved", "PaymentProcessed")
    told.given_failure("ShipmentFailed")
    provider = FakeProvider()
    service = PaymentService(resources(), LAST, provider)
    events = heard(outgoing(told.events))
    assert told.events == events

    said = heard(run(service.handle(events)))

    assert ["PaymentProcessed", "PaymentRefunded"] == [event.type for event in said]
    assert {} == provider.charged


def test_the_sagas_without_it_are_as_they_were() -> None:
    assert (INVENTORY, PAYMENT) == INVENTORY_FIRST.steps
    assert (PAYMENT, INVENTORY) == PAYMENT_FIRST.steps
