"""Orders that take too long, at each step; what comes late harms nothing."""

import pytest

from tests.e2e.scenarios.scene import ABSENT, END_SECONDS, Scene
from tests.e2e.scenarios.stage import kinds
from tests.kafka import eventually
from tests.shop import post_all

pytestmark = pytest.mark.timeout(240)

TIMEOUT = ("CANCELLED", "TIMEOUT")
ASKED = ("CancellationRequested", "OrderCancelling")
# Over all partitions.
ORDERS = 20


async def test_an_order_being_undone_when_its_time_is_over_keeps_its_reason(scene: Scene) -> None:
    first, second = scene.saga.steps
    order, reason = await scene.undoing()
    scene.stage.hurry()
    await scene.said(order, "CancellationRequested")
    scene.stage.release(first.name)

    assert ("CANCELLED", reason) == await scene.end(order)
    await scene.closes()
    said = ("OrderPlaced", first.done, second.failed, first.undone, "OrderCancelled")
    assert {order: kinds(said, "CancellationRequested")} == await scene.log(order)
    assert {"lamp": (1, {}, 0)} == await scene.shelf()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("step", [0, 1], ids=["first step", "second step"])
async def test_a_service_that_is_away_for_too_long_has_its_orders_cancelled_and_then_ended(
    scene: Scene, step: int
) -> None:
    """No order is without an end, once its service is back."""
    first, second = scene.saga.steps
    away = scene.saga.steps[step]
    await scene.stock(lamp=1000)
    with scene.stage.away(away.name):
        orders = await post_all(scene.shop.url, [scene.basket(lamp=1).body] * ORDERS)

        async def being_cancelled() -> bool:
            found = (await scene.shop.statuses(orders)).values()
            return [("PENDING", "TIMEOUT")] * ORDERS == list(found)

        await eventually(being_cancelled, END_SECONDS, "their time is over")

    ends = await scene.shop.all_end(orders, END_SECONDS)
    assert {TIMEOUT} == set(ends.values())
    await scene.closes()
    undone = (first.done, first.undone, second.undone)
    allowed = [kinds("OrderPlaced", ASKED, undone, "OrderCancelled")]
    if away == second:
        # It may have heard that it is its turn before it heard that the order is cancelled.
        allowed.append(kinds("OrderPlaced", ASKED, undone, second.done, "OrderCancelled"))
    log = await scene.log(*orders)
    assert [] == [types for types in log.values() if types not in allowed]
    assert {"lamp": (1000, {}, 0)} == await scene.shelf()
    for order, types in log.items():
        paid = "REFUNDED" if "PaymentProcessed" in types else ABSENT
        assert paid == await scene.payment(order)


@pytest.mark.usefixtures("hurried")
async def test_a_payment_that_takes_too_long_is_given_back(scene: Scene) -> None:
    # Whose sweep asks for what is due, too: not before the payment is under way.
    with scene.stage.held("order"):
        order = await scene.paying()
    await scene.said(order, "OrderCancelling", "InventoryReleased")
    await scene.provider.loud(order)

    assert TIMEOUT == await scene.end(order)
    await scene.closes()
    held = ("InventoryReserved",) if scene.saga.steps[0].name == "inventory" else ()
    steps = (*held, "InventoryReleased", "PaymentProcessed", "PaymentRefunded")
    assert {order: kinds("OrderPlaced", ASKED, steps, "OrderCancelled")} == await scene.log(order)
    assert {"lamp": (10, {}, 0)} == await scene.shelf()
    assert "REFUNDED" == await scene.payment(order)
