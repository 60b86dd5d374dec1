"""`/sagas`: steps, compensations, and which sagas are where."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.order import HistoryEntry, Order, OrderStatus
from app.domain.payment import Payment, PaymentStatus
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Saga, SagaState
from app.stores.listing import state_condition
from app.stores.repositories import ORDERS, PAYMENTS, encode_order, encode_payment
from app.web.rendering import saga_document
from tests.unit.web.conftest import NOW, World
from tests.unit.web.fakes import matches

PLACED = ("OrderPlaced", "InventoryReserved", "PaymentProcessed")


def order_of(*events: str, status: OrderStatus = OrderStatus.PENDING, **more: Any) -> Order:
    """An order with an event a second, from noon on."""
    history = tuple(
        HistoryEntry(event, f"2026-01-31T12:00:{second:02d}.000000Z")
        for second, event in enumerate(events)
    )
    return Order(str(uuid4()), status=status, history=history, **more)


def store(world: World, *events: str, placed: bool = True, **more: Any) -> Order:
    order = order_of(*events, **more)
    world.database.store(order)
    if placed:
        item: Any = {"items": [["p", 1, 100]], "userId": "u1", "total": 100, "country": None}
        item |= {"placedAt": NOW, "fingerprint": "f"}
        world.database[ORDERS].documents[order.order_id].update(item)
    return order


def document(order: Order, **attempts: int) -> dict[str, Any]:
    return saga_document(order, INVENTORY_FIRST, NOW.replace(second=30, microsecond=0), attempts)


def at(second: int) -> str:
    return f"2026-01-31T12:00:{second:02d}.000000Z"


async def test_a_saga_under_way_is_shown(world: World) -> None:
    order = store(world, "OrderPlaced", "InventoryReserved")

    response = await world.get(f"/sagas/{order.order_id.upper()}")

    assert 200 == response.status
    assert {
        "orderId": order.order_id,
        "state": "RUNNING",
        "order": ["inventory", "payment"],
        "step": "payment",
        "startedAt": at(0),
        "seconds": 0.123456,
        "steps": [
            {"name": "inventory", "state": "DONE", "doneAt": at(1)},
            {"name": "payment", "state": "PENDING"},
        ],
        "compensations": [],
        "history": [
            {"event": "OrderPlaced", "at": at(0)},
            {"event": "InventoryReserved", "at": at(1)},
        ],
    } == await response.json()


def test_a_saga_that_has_ended_says_when_and_how_long_it_took() -> None:
    ended = document(order_of(*PLACED, "OrderConfirmed", status=OrderStatus.CONFIRMED))

    assert ("COMPLETED", None, at(3), 3.0) == (
        ended["state"],
        ended["step"],
        ended["endedAt"],
        ended["seconds"],
    )


def test_a_compensation_is_owed_until_it_is_done() -> None:
    owed = document(order_of("OrderPlaced", "InventoryReserved", "PaymentFailed"))
    done = document(
        order_of("OrderPlaced", "InventoryReserved", "PaymentFailed", "InventoryReleased")
    )

    assert [{"step": "inventory", "state": "OWED"}] == owed["compensations"]
    assert {"name": "payment", "state": "FAILED", "failedAt": at(2)} == owed["steps"][1]
    assert [{"step": "inventory", "state": "DONE", "at": at(3)}] == done["compensations"]
    assert {"name": "inventory", "state": "UNDONE", "doneAt": at(1), "undoneAt": at(3)} == (
        done["steps"][0]
    )


def test_a_cancelled_saga_undoes_what_was_done_last_first() -> None:
    order = order_of(*PLACED, "OrderCancelling", "PaymentRefunded", reason="CANCELLED_BY_USER")

    shown = document(order)

    assert ("COMPENSATING", "CANCELLED_BY_USER") == (shown["state"], shown["reason"])
    assert [
        {"step": "payment", "state": "DONE", "at": at(4)},
        {"step": "inventory", "state": "OWED"},
    ] == shown["compensations"]


def test_a_step_that_never_began_is_undone_too() -> None:
    shown = document(order_of("OrderPlaced", "OrderCancelling", "PaymentRefunded"))

    assert {"name": "payment", "state": "UNDONE", "undoneAt": at(2)} == shown["steps"][1]


def test_a_clock_that_is_behind_takes_no_time_back() -> None:
    shown = saga_document(order_of("OrderPlaced"), INVENTORY_FIRST, NOW.replace(year=2025), {})

    assert 0.0 == shown["seconds"]


async def test_refused_refunds_are_counted(world: World) -> None:
    order = store(world, *PLACED, "OrderCancelling", "PaymentRefundFailed")
    refused = Payment(order.order_id, 100, PaymentStatus.REFUND_FAILED, "t", refund_attempts=3)
    world.database[PAYMENTS].put(order.order_id, **encode_payment(refused))

    alone = await (await world.get(f"/sagas/{order.order_id}")).json()
    listed = await (await world.get("/sagas?state=COMPENSATION_FAILED")).json()

    assert 3 == alone["steps"][1]["attempts"]
    assert [alone] == listed["sagas"]


async def test_an_order_just_accepted_has_a_saga(world: World) -> None:
    accepted = await (await world.post()).json()

    shown = await (await world.get(f"/sagas/{accepted['orderId']}")).json()

    assert ("RUNNING", "inventory") == (shown["state"], shown["step"])


async def test_one_that_waits_for_its_order_is_shown(world: World) -> None:
    order = store(world, "InventoryReserved", placed=False)

    shown = await (await world.get(f"/sagas/{order.order_id}")).json()

    assert ("WAITING", at(0)) == (shown["state"], shown["startedAt"])


@pytest.mark.parametrize("order_id", ["nonsense", "%00", "7d1f5b0a-5c1e-4a51-9a26-3f0f6f1f2c11"])
async def test_an_unknown_saga_is_not_found(world: World, order_id: str) -> None:
    assert 404 == (await world.get(f"/sagas/{order_id}")).status


async def test_sagas_are_listed_by_state_and_age(world: World) -> None:
    running = store(world, "OrderPlaced", "InventoryReserved")
    undoing = store(world, "OrderPlaced", "InventoryReserved", "PaymentFailed")
    waiting = store(world, "InventoryReserved", placed=False)
    ended = store(world, *PLACED, "OrderConfirmed", status=OrderStatus.CONFIRMED)

    async def listed(query: str) -> set[str]:
        answer = await (await world.get(f"/sagas?{query}")).json()
        return {saga["orderId"] for saga in answer["sagas"]}

    assert {running.order_id} == await listed("state=RUNNING")
    assert {undoing.order_id} == await listed("state=COMPENSATING")
    assert {waiting.order_id} == await listed("state=WAITING&olderThan=0.1")
    assert {ended.order_id} == await listed("state=COMPLETED")
    assert set() == await listed("state=ABORTED")
    assert {running.order_id, undoing.order_id, ended.order_id} == await listed("state=")
    assert {running.order_id} == await listed("state=RUNNING&olderThan=0")
    assert {running.order_id} == await listed("state=RUNNING&olderThan=0.1")
    assert set() == await listed("state=RUNNING&olderThan=0.2")
    assert set() == await listed("state=WAITING&olderThan=0.2")


@pytest.mark.parametrize("placed", [True, False])
async def test_sagas_come_page_by_page(world: World, placed: bool) -> None:
    stored = {
        store(world, "OrderPlaced" if placed else "InventoryReserved", placed=placed).order_id
        for _ in range(5)
    }
    state = "RUNNING" if placed else "WAITING"
    found: list[str] = []
    cursor, sizes = "", []
    while cursor is not None:
        answer = await (await world.get(f"/sagas?state={state}&limit=2&cursor={cursor}")).json()
        sizes.append(len(answer["sagas"]))
        found += [saga["orderId"] for saga in answer["sagas"]]
        cursor = answer["nextCursor"]

    assert [2, 2, 1] == sizes
    assert sorted(stored, reverse=True) == found


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("state=STUCK", 422),
        ("olderThan=-1", 422),
        ("olderThan=x", 422),
        ("olderThan=nan", 422),
        ("olderThan=999999999", 422),
        ("olderThan=1e3", 422),
        ("limit=500", 422),
        ("cursor=AAAA", 400),
    ],
)
async def test_what_is_wrong_with_a_query_is_told(world: World, query: str, status: int) -> None:
    response = await world.get(f"/sagas?{query}")

    assert status == response.status
    assert "application/problem+json" == response.content_type


@st.composite
def courses(draw: st.DrawFn, saga: Saga) -> list[str]:
    """Events of an order in any order in which they may be heard."""
    steps = saga.steps[: draw(st.integers(0, len(saga.steps)))]
    said = [step.done for step in steps]
    if len(steps) < len(saga.steps) and draw(st.booleans()):
        said.append(saga.steps[len(steps)].failed)
    if draw(st.booleans()):
        said.append(saga.cancels)
    for step in saga.owed(said):
        if step.undo_failed and draw(st.booleans()):
            said.append(step.undo_failed)
        if draw(st.booleans()):
            said.append(step.undone)
    if draw(st.integers(0, 9)):
        said.append(saga.starts)
    return draw(st.permutations(said)) if said else [saga.steps[0].done]


@pytest.mark.parametrize("saga", [INVENTORY_FIRST, PAYMENT_FIRST], ids=["inventory", "payment"])
@given(data=st.data())
def test_a_listed_state_is_the_state(saga: Saga, data: st.DataObject) -> None:
    order = order_of(*data.draw(courses(saga)))
    state = saga.state(order.seen)
    if state is SagaState.COMPLETED:
        order = order_of(*order.seen, status=OrderStatus.CONFIRMED)
    if state is SagaState.ABORTED:
        order = order_of(*order.seen, status=OrderStatus.CANCELLED)
    fields = encode_order(order) | ({"items": []} if saga.starts in order.seen else {})

    found = [
        each
        for each in SagaState
        if matches(fields, state_condition(saga, each))
        # As the listing has it: what was not placed is looked for by that alone.
        and (each is SagaState.WAITING or fields["acceptedAt"] is not None)
    ]

    assert [state] == found
