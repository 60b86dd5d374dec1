"""The same order posted again, with what Redis remembers of it and without."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.e2e.scenarios.scene import PRICE, Basket, Scene
from tests.e2e.scenarios.stage import kinds

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("forgotten", [False, True], ids=["with Redis data", "without Redis data"])
async def test_an_order_posted_twice_is_one_order_and_another_body_is_refused(
    scene: Scene, forgotten: bool
) -> None:
    await scene.stock(lamp=10)
    basket = scene.basket(lamp=2)
    key = {"Idempotency-Key": basket.key}
    first = await scene.ask("POST", "/orders", basket.body, **key)
    assert ("CONFIRMED", None) == await scene.end(basket.id)
    if forgotten:
        await forget(scene)

    again = await scene.ask("POST", "/orders", basket.body, **key)
    if forgotten:
        await forget(scene)
    other = await scene.ask("POST", "/orders", scene.basket(lamp=3).body, **key)

    assert (202, basket.id) == (first[0], first[1]["orderId"])
    assert first == again
    assert 422 == other[0]
    await one_order(scene, basket)
    assert 1 == sum(
        b"OrderPlaced" == dict(record.headers)["ce_type"]
        for record in await scene.records(basket.id)
    )


@pytest.mark.parametrize("units", [2, 3], ids=["same body", "another body"])
async def test_an_order_that_redis_forgot_before_it_was_stored_is_the_one_first_posted(
    scene: Scene, units: int
) -> None:
    """Only the log knows of it then, so that it comes a second time: nothing is left by which it
    could be refused."""
    await scene.stock(lamp=10)
    basket = scene.basket(lamp=2)
    with scene.stage.held("order"):
        await scene.post(basket)
        await forget(scene)
        await scene.post(replace(scene.basket(lamp=units), key=basket.key))

    assert ("CONFIRMED", None) == await scene.end(basket.id)
    # Each post says when it was accepted.
    await one_order(scene, basket, alike=False)
    status, found = await scene.ask("GET", f"/orders/{basket.id}")
    assert (200, 2 * PRICE) == (status, found["total"])


async def one_order(scene: Scene, basket: Basket, *, alike: bool = True) -> None:
    await scene.closes()
    done = tuple(step.done for step in scene.saga.steps)
    said = kinds("OrderPlaced", done, "OrderConfirmed")
    assert {basket.id: said} == await scene.log(basket.id, alike=alike)
    assert {"lamp": (8, {}, 2)} == await scene.shelf()
    assert "CHARGED" == await scene.payment(basket.id)
    assert ["charge"] == await scene.provider.calls(basket.id)


async def forget(scene: Scene) -> None:
    async with Redis.from_url(scene.shop.servers.redis_url) as redis:
        await redis.flushall()
