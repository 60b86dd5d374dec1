"""The provider slow, away, or silent about what it did: never two charges, none of a lost order."""

import pytest

from tests.e2e.scenarios.provider import ATTEMPTS, Trick
from tests.e2e.scenarios.scene import END_SECONDS, Scene
from tests.e2e.scenarios.stage import kinds
from tests.e2e.scenarios.test_endings import failed_at
from tests.kafka import eventually

pytestmark = pytest.mark.timeout(240)

LATE: list[Trick] = ["slow", "lost"]


async def test_while_the_provider_is_down_the_order_waits_and_then_is_charged_once(
    scene: Scene,
) -> None:
    await scene.stock(lamp=10)
    log = scene.stage.worker("payment").program.log
    before = log.stat().st_size
    scene.provider.stop()
    orders = [await scene.place(lamp=1) for _ in range(4)]

    def given_up() -> bool:
        """Not only a call was: all attempts, and the withdrawal."""
        return b"records held: UnknownOutcomeError" in log.read_bytes()[before:]

    await eventually(given_up, END_SECONDS, "the orders are held")
    assert {("PENDING", None)} == set((await scene.shop.statuses(orders)).values())
    scene.provider.start()

    ends = await scene.shop.all_end(orders, END_SECONDS)
    assert {("CONFIRMED", None)} == set(ends.values())
    await scene.closes()
    done = tuple(step.done for step in scene.saga.steps)
    said = kinds("OrderPlaced", done, "OrderConfirmed")
    assert dict.fromkeys(orders, said) == await scene.log(*orders)
    assert {"lamp": (6, {}, 4)} == await scene.shelf()


async def test_an_order_cancelled_while_the_provider_is_down_is_left_without_a_charge(
    scene: Scene,
) -> None:
    await scene.stock(lamp=10)
    scene.provider.stop()
    order = await scene.place(lamp=2)
    await scene.noted(order, "OrderPlaced")
    assert 202 == await scene.cancel(order)
    await scene.said(order, "OrderCancelling", "InventoryReleased")
    scene.provider.start()

    assert ("CANCELLED", "CANCELLED_BY_USER") == await scene.end(order)
    await scene.closes()
    log = (await scene.log(order))[order]
    # Where the provider comes back between the last attempt to charge and the withdrawal, the
    # charge has failed, and there is nothing to refund.
    failed = "PaymentFailed" in log
    undone = "PaymentFailed" if failed else "PaymentRefunded"
    assert {"OrderCancelling", "InventoryReleased", undone, "OrderCancelled"} <= set(log)
    assert "OrderConfirmed" not in log
    assert {"lamp": (10, {}, 0)} == await scene.shelf()
    charged = "REFUNDED" if "PaymentProcessed" in log else None
    assert ("FAILED" if failed else charged) == await scene.payment(order)


@pytest.mark.parametrize("trick", LATE, ids=["slow", "unknown outcome"])
async def test_an_answer_that_does_not_come_is_asked_for_again_and_the_order_is_charged_once(
    scene: Scene, trick: Trick
) -> None:
    await scene.stock(lamp=10)
    basket = scene.basket(lamp=2)
    await scene.provider.tricks(basket.id, charge=[trick] * (ATTEMPTS - 1))

    order = await scene.post(basket)

    assert ("CONFIRMED", None) == await scene.end(order)
    await scene.closes()
    done = tuple(step.done for step in scene.saga.steps)
    assert {order: kinds("OrderPlaced", done, "OrderConfirmed")} == await scene.log(order)
    assert {"lamp": (8, {}, 2)} == await scene.shelf()
    assert "CHARGED" == await scene.payment(order)
    calls = await scene.provider.calls(order)
    assert {"charge"} == set(calls)
    assert len(calls) >= ATTEMPTS


@pytest.mark.parametrize("trick", LATE, ids=["slow", "unknown outcome"])
async def test_a_charge_that_is_never_answered_is_withdrawn_and_the_order_cancelled(
    scene: Scene, trick: Trick
) -> None:
    await scene.stock(lamp=10)
    basket = scene.basket(lamp=2)
    await scene.provider.tricks(basket.id, charge=[trick] * ATTEMPTS)

    order = await scene.post(basket)

    assert ("CANCELLED", "PAYMENT_FAILED") == await scene.end(order)
    # Given up by its client, a slow call is done all the same.
    await scene.provider.idle(order)
    await scene.closes()
    assert {order: failed_at(scene.saga, "payment")} == await scene.log(order)
    assert {"lamp": (10, {}, 0)} == await scene.shelf()
    assert "FAILED" == await scene.payment(order)
    (entry,) = (await scene.provider.entries())[order]
    assert entry.withdrawn


async def test_a_withdrawal_whose_outcome_is_unknown_leaves_no_charge(scene: Scene) -> None:
    """The order waits; what is asked later under the same key is declined by then."""
    await scene.stock(lamp=10)
    basket = scene.basket(lamp=2)
    await scene.provider.tricks(basket.id, charge=["lost"] * ATTEMPTS, withdraw=["lost"] * 2)

    order = await scene.post(basket)

    assert ("CANCELLED", "PAYMENT_FAILED") == await scene.end(order)
    await scene.closes()
    assert {order: failed_at(scene.saga, "payment")} == await scene.log(order)
    assert {"lamp": (10, {}, 0)} == await scene.shelf()


async def test_a_refund_whose_outcome_is_unknown_is_asked_for_until_it_is_known(
    scene: Scene,
) -> None:
    """More often than one attempt of the service lasts; it is given once."""
    order = await scene.paying()
    assert 202 == await scene.cancel(order)
    await scene.said(order, "OrderCancelling", "InventoryReleased")
    lost: list[Trick] = ["lost", "slow"] * ATTEMPTS
    await scene.provider.tricks(order, refund=lost)
    await scene.provider.loud(order)

    assert ("CANCELLED", "CANCELLED_BY_USER") == await scene.end(order)
    await scene.closes()
    assert "REFUNDED" == await scene.payment(order)
    (entry,) = (await scene.provider.entries())[order]
    assert [entry.charged, False] == [entry.refunded, entry.withdrawn]
    assert (await scene.provider.calls(order)).count("refund") > len(lost)
