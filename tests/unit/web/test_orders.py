import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientResponse

from app.codec import decode, encode
from app.domain.order import HistoryEntry, Order
from app.events import OrderPlaced
from app.stores.repositories import ORDERS
from app.topics import ORDER
from tests.kafka import eventually
from tests.unit.web.conftest import BODY, TOTAL, World, hurried
from tests.unit.web.fakes import until

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_an_order_is_accepted_once_it_is_in_the_log(world: World) -> None:
    response = await world.post()

    answer = await response.json()
    event = world.log.events[0]
    assert 202 == response.status
    assert {
        "orderId": event.order_id,
        "userId": "u1",
        "status": "PENDING",
        "total": TOTAL,
        "placedAt": "2026-01-31T12:00:00.123Z",
        "correlationId": event.order_id,
    } == answer
    assert f"/orders/{event.order_id}" == response.headers["Location"]
    assert 4 == UUID(event.order_id).version


async def test_what_is_published_is_a_valid_event(world: World) -> None:
    await world.post({**BODY, "country": "France"}, traceparent=TRACEPARENT)

    record = encode(world.log.events[0])
    event = decode(ORDER, record.key, record.value, record.headers)
    assert isinstance(event.data, OrderPlaced)
    assert (1869, "France") == (event.data.total, event.data.country)
    assert TRACEPARENT == event.traceparent


async def test_the_gateways_prefix_is_in_the_location(world: World) -> None:
    behind = await world.post(X_Forwarded_Prefix="/api")
    tricked = await world.post(X_Forwarded_Prefix="//elsewhere.example")

    assert behind.headers["Location"].startswith("/api/orders/")
    assert tricked.headers["Location"].startswith("/orders/")


async def test_a_failed_publish_is_never_an_acceptance(world: World) -> None:
    world.log.down = True

    response = await world.post()

    assert 503 == response.status
    assert "2" == response.headers["Retry-After"]
    assert "application/problem+json" == response.content_type


async def accepted_in_the_end(world: World, **headers: str) -> ClientResponse:
    """The answer once the pause after a failed publish is over."""

    async def posted() -> ClientResponse | None:
        response = await world.post(**headers)
        return None if response.status == 503 else response

    response: ClientResponse = await eventually(posted, 60, "a post is accepted")
    return response


@hurried
async def test_a_publish_that_hangs_is_given_up(world: World) -> None:
    world.log.open.clear()

    response = await world.post(Idempotency_Key="k1")
    world.log.open.set()
    again = await accepted_in_the_end(world, Idempotency_Key="k1")

    assert 503 == response.status
    problem = await response.json()
    assert "not known whether" in problem["detail"]
    assert problem["orderId"] == (await again.json())["orderId"]


async def test_after_a_failed_publish_others_are_refused_at_once_and_nothing_is_sent(
    world: World,
) -> None:
    world.log.down = True
    await world.post()
    world.log.down = False

    response = await world.post()

    assert 503 == response.status
    assert "nothing was done" in (await response.json())["detail"]
    assert [] == world.log.events
    await accepted_in_the_end(world)


async def test_the_same_key_and_body_get_the_same_answer(world: World) -> None:
    first = await world.post(Idempotency_Key="k1")
    second = await world.post(Idempotency_Key="k1")

    assert (202, 202) == (first.status, second.status)
    assert await first.read() == await second.read()
    assert first.headers["Location"] == second.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert "true" == second.headers["Idempotency-Replayed"]
    assert 1 == len(world.log.events)


async def test_another_body_under_a_key_is_refused(world: World) -> None:
    await world.post(Idempotency_Key="k1")

    response = await world.post({**BODY, "country": "Spain"}, Idempotency_Key="k1")

    assert 422 == response.status
    assert "urn:orderflow:problem:idempotency-key-reused" == (await response.json())["type"]


async def test_another_users_same_key_is_another_order(world: World) -> None:
    first = await (await world.post(Idempotency_Key="k1")).json()
    second = await (await world.post({**BODY, "userId": "u2"}, Idempotency_Key="k1")).json()

    assert first["orderId"] != second["orderId"]


async def test_a_key_still_in_flight_is_a_conflict(world: World) -> None:
    world.log.open.clear()
    first = asyncio.create_task(world.post(Idempotency_Key="k1"))
    await world.log.asked.wait()

    second = await world.post(Idempotency_Key="k1")
    world.log.open.set()

    assert 409 == second.status
    assert "1" == second.headers["Retry-After"]
    assert 202 == (await first).status


async def test_after_a_failed_publish_only_the_same_body_may_use_the_key(world: World) -> None:
    world.log.down = True
    await world.post(Idempotency_Key="k1")
    world.log.down = False

    other = await world.post({**BODY, "country": "Spain"}, Idempotency_Key="k1")
    same = await accepted_in_the_end(world, Idempotency_Key="k1")

    assert (422, 202) == (other.status, same.status)


async def test_without_redis_a_key_still_names_one_order(world: World) -> None:
    world.redis.down = True

    first = await world.post(Idempotency_Key="k1")
    second = await world.post(Idempotency_Key="k1")

    assert (202, 202) == (first.status, second.status)
    assert await first.read() == await second.read()
    assert 1 == len({event.id for event in world.log.events})


async def test_without_redis_the_database_knows_what_was_posted(world: World) -> None:
    first = await world.post(Idempotency_Key="k1")
    world.store()
    world.redis.down = True

    same = await world.post(Idempotency_Key="k1")
    other = await world.post({**BODY, "country": "Spain"}, Idempotency_Key="k1")

    assert 202 == same.status
    assert await first.read() == await same.read()
    assert "true" == same.headers["Idempotency-Replayed"]
    assert 422 == other.status
    assert 1 == len(world.log.events)


async def test_over_a_redis_that_came_back_empty_the_database_knows(world: World) -> None:
    first = await world.post(Idempotency_Key="k1")
    world.store()
    world.keys.forget_all()

    other = await world.post({**BODY, "country": "Spain"}, Idempotency_Key="k1")
    same = await world.post(Idempotency_Key="k1")
    again = await world.post(Idempotency_Key="k1")

    assert 422 == other.status
    assert await first.read() == await same.read() == await again.read()
    assert 1 == len(world.log.events)


async def test_with_redis_and_the_database_away_orders_are_still_accepted(world: World) -> None:
    world.redis.down = world.database.down = True

    response = await world.post(Idempotency_Key="k1")

    assert 202 == response.status


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "tab\there"])
async def test_a_malformed_key_is_a_bad_request(world: World, key: str) -> None:
    response = await world.post(Idempotency_Key=key)

    assert 400 == response.status
    assert not world.log.events


async def test_a_client_that_leaves_does_not_stop_its_acceptance(world: World) -> None:
    world.log.open.clear()
    post = asyncio.create_task(world.post(Idempotency_Key="k1"))
    await world.log.asked.wait()
    post.cancel()
    await asyncio.gather(post, return_exceptions=True)

    world.log.open.set()
    await until(lambda: bool(world.keys.answers))
    response = await world.post(Idempotency_Key="k1")

    assert "true" == response.headers["Idempotency-Replayed"]
    assert 1 == len(world.log.events)


async def test_a_post_that_waits_gets_the_order_once_it_has_ended(world: World) -> None:
    post = asyncio.create_task(world.post(Prefer="wait=5"))
    await world.log.asked.wait()
    order = world.store(ended=True)

    response = await post

    answer = await response.json()
    assert 200 == response.status
    assert "wait=5" == response.headers["Preference-Applied"]
    assert (order.order_id, "CONFIRMED") == (answer["orderId"], answer["status"])


async def test_a_post_whose_wait_is_over_is_answered_as_accepted(world: World) -> None:
    response = await world.post(Prefer="wait=1")

    assert 202 == response.status
    assert "PENDING" == (await response.json())["status"]


async def test_a_database_fault_while_waiting_is_no_error(world: World) -> None:
    world.database.down = True

    response = await world.post(Prefer="wait=1")

    assert 202 == response.status


async def test_with_too_many_waiting_a_post_is_refused_before_it_is_accepted(world: World) -> None:
    waiting = [asyncio.create_task(world.post(Prefer="wait=30")) for _ in range(2)]
    await until(lambda: world.database[ORDERS].queries > 0 and len(world.log.events) == 2)

    response = await world.post(Prefer="wait=30")
    for post in waiting:
        post.cancel()

    assert 503 == response.status
    assert "Retry-After" in response.headers
    assert 2 == len(world.log.events)


async def test_a_stored_order_is_shown_whole(world: World) -> None:
    await world.post({**BODY, "country": "France"})
    order = world.store(ended=True)

    response = await world.get(f"/orders/{order.order_id.upper()}")

    assert 200 == response.status
    assert {
        "orderId": order.order_id,
        "userId": "u1",
        "items": BODY["items"],
        "total": TOTAL,
        "country": "France",
        "status": "CONFIRMED",
        "placedAt": "2026-01-31T12:00:00.123Z",
        "updatedAt": "2026-01-31T12:00:02.000000Z",
        "correlationId": order.order_id,
        "saga": {"order": ["inventory", "payment"], "step": None, "state": "COMPLETED"},
        "history": [
            {"event": "OrderPlaced", "at": "2026-01-31T12:00:00.123456Z"},
            {"event": "InventoryReserved", "at": "2026-01-31T12:00:01Z"},
            {"event": "PaymentProcessed", "at": "2026-01-31T12:00:01Z"},
            {"event": "OrderConfirmed", "at": "2026-01-31T12:00:02.000000Z"},
        ],
    } == await response.json()


@pytest.mark.parametrize(
    "path", ["/orders/nonsense", "/orders/%00", "/orders/7d1f5b0a-5c1e-4a51-9a26-3f0f6f1f2c11"]
)
async def test_an_unknown_order_is_not_found(world: World, path: str) -> None:
    response = await world.get(path, Prefer="wait=30")

    assert 404 == response.status
    assert "application/problem+json" == response.content_type


async def test_a_read_that_waits_gets_the_end(world: World) -> None:
    await world.post()
    order = world.store()
    read = asyncio.create_task(world.get(f"/orders/{order.order_id}", Prefer="wait=5"))
    await until(lambda: world.database[ORDERS].queries > 1)
    world.store(ended=True)

    response = await read

    assert "CONFIRMED" == (await response.json())["status"]
    assert "wait=5" == response.headers["Preference-Applied"]


async def test_a_read_keeps_its_first_answer_when_the_database_goes_away(world: World) -> None:
    await world.post()
    order = world.store()
    read = asyncio.create_task(world.get(f"/orders/{order.order_id}", Prefer="wait=1"))
    await until(lambda: world.database[ORDERS].queries > 1)
    world.database.down = True

    response = await read

    assert 200 == response.status
    assert "PENDING" == (await response.json())["status"]


async def test_an_accepted_order_not_yet_stored_is_waited_for(world: World) -> None:
    accepted = await (await world.post()).json()
    read = asyncio.create_task(world.get(f"/orders/{accepted['orderId']}"))
    await until(lambda: world.database[ORDERS].queries > 0)
    world.store()

    response = await read

    assert 200 == response.status
    assert "RUNNING" == (await response.json())["saga"]["state"]


@hurried
async def test_an_accepted_order_that_is_stored_late_is_pending(world: World) -> None:
    accepted = await (await world.post()).json()

    response = await world.get(f"/orders/{accepted['orderId']}")

    answer: dict[str, Any] = await response.json()
    assert 200 == response.status
    assert ("PENDING", BODY["items"]) == (answer["status"], answer["items"])
    assert [{"event": "OrderPlaced", "at": "2026-01-31T12:00:00.123456Z"}] == answer["history"]


@hurried
async def test_the_worker_that_accepted_remembers_without_redis(world: World) -> None:
    world.redis.down = True
    accepted = await (await world.post()).json()

    response = await world.get(f"/orders/{accepted['orderId']}")

    assert 200 == response.status


@hurried
async def test_an_order_of_which_only_steps_were_heard_is_not_stored_yet(world: World) -> None:
    order_id = str(uuid4())
    world.database.store(
        Order(order_id, history=(HistoryEntry("InventoryReserved", "2026-01-31T12:00:01Z"),))
    )

    response = await world.get(f"/orders/{order_id}")

    assert 503 == response.status
    assert "1" == response.headers["Retry-After"]


@hurried
async def test_whether_an_order_exists_is_not_denied_while_redis_is_away(world: World) -> None:
    world.redis.down = True

    response = await world.get(f"/orders/{uuid4()}")

    assert 503 == response.status


async def test_a_database_that_is_away_is_unavailable(world: World) -> None:
    world.database.down = True

    response = await world.get(f"/orders/{uuid4()}")

    assert 503 == response.status
    assert "1" == response.headers["Retry-After"]
