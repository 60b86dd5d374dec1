"""Orders cancelled by their user, at each point of their saga."""

import pytest

from tests.e2e.scenarios.scene import ABSENT, Scene
from tests.e2e.scenarios.stage import kinds

pytestmark = pytest.mark.timeout(240)

BY_USER = ("CANCELLED", "CANCELLED_BY_USER")
ASKED = ("CancellationRequested", "OrderCancelling")
UNTOUCHED: dict[str, tuple[int, dict[str, int], int]] = {"lamp": (10, {}, 0)}


@pytest.mark.parametrize("heard", [False, True], ids=["not heard of", "heard of"])
async def test_cancelled_before_the_first_step_it_does_the_step_late_and_undoes_it(
    scene: Scene, heard: bool
) -> None:
    first, second = scene.saga.steps
    await scene.stock(lamp=10)
    with scene.stage.held(first.name):
        with scene.stage.held(*([] if heard else ["order"])):
            order = await scene.place(lamp=2)
            if heard:
                await scene.noted(order, "OrderPlaced")
            assert 202 == await scene.cancel(order)
            await scene.said(order, "CancellationRequested")
        await scene.said(order, "OrderCancelling", second.undone)

    assert BY_USER == await scene.end(order)
    await scene.closes()
    steps = (first.done, first.undone, second.undone)
    assert {order: kinds("OrderPlaced", ASKED, steps, "OrderCancelled")} == await scene.log(order)
    assert await scene.shelf() == UNTOUCHED
    assert ("REFUNDED" if first.name == "payment" else ABSENT) == await scene.payment(order)


async def test_cancelled_between_the_steps_what_was_done_is_undone(scene: Scene) -> None:
    first, second = scene.saga.steps
    await scene.stock(lamp=10)
    with scene.stage.held(second.name):
        order = await scene.place(lamp=2)
        await scene.noted(order, first.done)
        assert 202 == await scene.cancel(order)
        await scene.said(order, "OrderCancelling", first.undone)

    assert BY_USER == await scene.end(order)
    await scene.closes()
    # Which it heard first: that it is its turn, or that the order is cancelled.
    steps = (first.done, first.undone, second.undone)
    log = (await scene.log(order))[order]
    assert log in (
        kinds("OrderPlaced", ASKED, steps, "OrderCancelled"),
        kinds("OrderPlaced", ASKED, steps, second.done, "OrderCancelled"),
    )
    assert await scene.shelf() == UNTOUCHED
    charged = "PaymentProcessed" in log
    assert ("REFUNDED" if charged else ABSENT) == await scene.payment(order)


async def test_cancelled_while_its_payment_is_under_way_it_is_paid_and_refunded(
    scene: Scene,
) -> None:
    order = await scene.paying()
    assert 202 == await scene.cancel(order)
    await scene.said(order, "OrderCancelling", "InventoryReleased")
    await scene.provider.loud(order)

    assert BY_USER == await scene.end(order)
    await scene.closes()
    held = ("InventoryReserved",) if scene.saga.steps[0].name == "inventory" else ()
    steps = (*held, "InventoryReleased", "PaymentProcessed", "PaymentRefunded")
    assert {order: kinds("OrderPlaced", ASKED, steps, "OrderCancelled")} == await scene.log(order)
    assert await scene.shelf() == UNTOUCHED
    assert "REFUNDED" == await scene.payment(order)


async def test_cancelled_after_the_last_step_it_ends_one_way_in_all_respects(
    scene: Scene,
) -> None:
    first, second = scene.saga.steps
    await scene.stock(lamp=10)
    with scene.stage.held("order"):
        order = await scene.place(lamp=2)
        await scene.said(order, second.done)
        assert 202 == await scene.cancel(order)
        await scene.said(order, "CancellationRequested")

    ended = await scene.end(order)
    await scene.closes()
    before = ("OrderPlaced", first.done, second.done, "CancellationRequested")
    undone = (first.undone, second.undone)
    found = (ended, (await scene.log(order))[order], await scene.shelf())
    assert found in (
        (("CONFIRMED", None), kinds(before, "OrderConfirmed"), {"lamp": (8, {}, 2)}),
        (BY_USER, kinds(before, "OrderCancelling", undone, "OrderCancelled"), UNTOUCHED),
    )
    charged = "CHARGED" if ended[0] == "CONFIRMED" else "REFUNDED"
    assert charged == await scene.payment(order)


async def test_cancelled_while_it_is_undone_for_another_reason_keeps_that_reason(
    scene: Scene,
) -> None:
    first, second = scene.saga.steps
    order, reason = await scene.undoing()
    assert 202 == await scene.cancel(order)
    scene.stage.release(first.name)

    assert ("CANCELLED", reason) == await scene.end(order)
    assert 409 == await scene.cancel(order)
    await scene.closes()
    steps = (first.done, second.failed, first.undone)
    assert {order: kinds("OrderPlaced", steps, "OrderCancelled")} == await scene.log(order)
    assert {"lamp": (1, {}, 0)} == await scene.shelf()


async def test_an_order_that_has_ended_is_not_cancelled(scene: Scene) -> None:
    await scene.stock(lamp=10)
    confirmed, rejected = [await scene.place(lamp=units) for units in (2, 20)]
    assert ("CONFIRMED", None) == await scene.end(confirmed)
    assert ("CANCELLED", "OUT_OF_STOCK") == await scene.end(rejected)

    assert 409 == await scene.cancel(confirmed)
    assert 409 == await scene.cancel(rejected)

    await scene.closes()
    log = await scene.log(confirmed, rejected)
    assert [] == [type_ for types in log.values() for type_ in types if type_ in ASKED]
    assert ("CONFIRMED", None) == await scene.end(confirmed)
    assert {"lamp": (8, {}, 2)} == await scene.shelf()
