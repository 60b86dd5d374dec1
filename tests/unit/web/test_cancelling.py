"""`POST /orders/{orderId}/cancel`."""

import asyncio
from uuid import uuid4

import pytest

from app.codec import decode, encode
from app.domain.order import HistoryEntry, Order
from app.events import CancellationRequested, InventoryReleased, PaymentRefunded
from app.stores.repositories import ORDERS
from app.topics import ORDER
from tests.unit.web.conftest import World, heard, hurried
from tests.unit.web.fakes import until

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def placed(world: World) -> str:
    return str((await (await world.post()).json())["orderId"])


def cancelled(world: World, order: Order) -> Order:
    """What the order service makes of the last request, once every step has undone."""
    order = heard(order, world.log.events[-1])
    for data in (InventoryReleased, PaymentRefunded):
        done = data.model_construct(order_id=order.order_id, amount=0)
        order = heard(
            order, world.log.events[-1].follow(done, source="x", at="2026-01-31T12:00:03Z")
        )
    world.database.store(order)
    return order


async def test_a_cancellation_is_taken_once_it_is_in_the_log(world: World) -> None:
    order_id = await placed(world)
    world.store()

    response = await world.client.post(
        f"/orders/{order_id.upper()}/cancel",
        headers={"traceparent": TRACEPARENT, "X-Forwarded-Prefix": "/api"},
    )

    assert 202 == response.status
    assert {"orderId": order_id, "status": "PENDING", "correlationId": order_id} == (
        await response.json()
    )
    assert f"/api/orders/{order_id}" == response.headers["Location"]
    record = encode(world.log.events[-1])
    event = decode(ORDER, record.key, record.value, record.headers)
    assert CancellationRequested(order_id=order_id, reason="CANCELLED_BY_USER") == event.data
    assert ("orderflow/order", TRACEPARENT) == (event.source, event.traceparent)


async def test_an_order_just_accepted_is_cancelled_without_waiting_for_it(world: World) -> None:
    order_id = await placed(world)

    response = await world.client.post(f"/orders/{order_id}/cancel")

    assert 202 == response.status
    assert ["OrderPlaced", "CancellationRequested"] == [event.type for event in world.log.events]


async def test_an_order_of_which_only_steps_were_heard_can_be_cancelled(world: World) -> None:
    order_id = str(uuid4())
    world.database.store(Order(order_id, history=(HistoryEntry("InventoryReserved", "t"),)))

    assert 202 == (await world.client.post(f"/orders/{order_id}/cancel")).status


async def test_a_cancellation_asked_for_again_is_taken_again(world: World) -> None:
    order_id = await placed(world)
    order = world.store()
    statuses = [(await world.client.post(f"/orders/{order_id}/cancel")).status for _ in range(2)]
    assert 1 == len({event.id for event in world.log.events[1:]})
    world.database.store(heard(order, world.log.events[-1]))
    published = len(world.log.events)

    statuses.append((await world.client.post(f"/orders/{order_id}/cancel")).status)

    assert [202, 202, 202] == statuses
    assert published == len(world.log.events), "it is being cancelled: nothing more to ask for"


async def test_an_order_that_was_confirmed_can_not_be_cancelled(world: World) -> None:
    order_id = await placed(world)
    world.store(ended=True)

    response = await world.client.post(f"/orders/{order_id}/cancel")

    problem = await response.json(content_type="application/problem+json")
    assert 409 == response.status
    assert "CONFIRMED" in problem["detail"]
    assert ("CONFIRMED", None) == (problem["orderStatus"], problem["reason"])
    assert 1 == len(world.log.events)


async def test_an_order_that_was_cancelled_says_why(world: World) -> None:
    order_id = await placed(world)
    order = world.store()
    await world.client.post(f"/orders/{order_id}/cancel")
    cancelled(world, order)

    response = await world.client.post(f"/orders/{order_id}/cancel")

    problem = await response.json(content_type="application/problem+json")
    assert 409 == response.status
    assert ("CANCELLED", "CANCELLED_BY_USER") == (problem["orderStatus"], problem["reason"])


@pytest.mark.parametrize("order_id", ["nonsense", "%00", "7d1f5b0a-5c1e-4a51-9a26-3f0f6f1f2c11"])
async def test_an_unknown_order_is_not_found(world: World, order_id: str) -> None:
    response = await world.client.post(f"/orders/{order_id}/cancel", headers={"Prefer": "wait=9"})

    assert 404 == response.status
    assert "application/problem+json" == response.content_type
    assert not world.log.events


async def test_a_request_that_is_not_in_the_log_is_not_taken(world: World) -> None:
    order_id = await placed(world)
    world.log.down = True

    response = await world.client.post(f"/orders/{order_id}/cancel")

    assert 503 == response.status
    assert "2" == response.headers["Retry-After"]


@hurried
async def test_a_publish_that_hangs_is_given_up(world: World) -> None:
    order_id = await placed(world)
    world.log.open.clear()

    response = await world.client.post(f"/orders/{order_id}/cancel")
    world.log.open.set()

    assert 503 == response.status


@hurried
async def test_whether_there_is_an_order_is_not_denied_while_redis_is_away(world: World) -> None:
    world.redis.down = True

    response = await world.client.post(f"/orders/{uuid4()}/cancel")

    assert 503 == response.status


async def test_one_who_waits_gets_the_cancelled_order(world: World) -> None:
    order_id = await placed(world)
    order = world.store()
    cancel = asyncio.create_task(
        world.client.post(f"/orders/{order_id}/cancel", headers={"Prefer": "wait=5"})
    )
    await until(lambda: len(world.log.events) > 1)
    cancelled(world, order)

    response = await cancel

    answer = await response.json()
    assert 200 == response.status
    assert ("CANCELLED", "CANCELLED_BY_USER") == (answer["status"], answer["reason"])
    assert "wait=5" == response.headers["Preference-Applied"]


async def test_one_who_waits_hears_that_the_confirmation_was_first(world: World) -> None:
    order_id = await placed(world)
    placing = world.log.events[:]
    world.store()
    cancel = asyncio.create_task(
        world.client.post(f"/orders/{order_id}/cancel", headers={"Prefer": "wait=5"})
    )
    await until(lambda: len(world.log.events) > 1)
    world.log.events = placing
    world.store(ended=True)

    response = await cancel

    assert 409 == response.status
    assert "CONFIRMED" == (await response.json(content_type=None))["orderStatus"]


async def test_one_whose_wait_is_over_is_answered_as_taken(world: World) -> None:
    order_id = await placed(world)
    world.store()

    response = await world.client.post(f"/orders/{order_id}/cancel", headers={"Prefer": "wait=1"})

    assert 202 == response.status
    assert "PENDING" == (await response.json())["status"]


async def test_with_too_many_waiting_nothing_is_asked_for(world: World) -> None:
    order_id = await placed(world)
    world.store()
    waiting = [
        asyncio.create_task(world.get(f"/orders/{order_id}", Prefer="wait=30")) for _ in range(2)
    ]
    await until(lambda: world.database[ORDERS].queries > 3)

    response = await world.client.post(f"/orders/{order_id}/cancel", headers={"Prefer": "wait=30"})
    for read in waiting:
        read.cancel()

    assert 503 == response.status
    assert 1 == len(world.log.events)
