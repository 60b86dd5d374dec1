"""Orders that nobody disturbs: sold and paid, refused by the bank, or short of something."""

import pytest

from app.saga import Saga
from tests.e2e.scenarios.scene import ABSENT, Scene
from tests.e2e.scenarios.stage import kinds

pytestmark = pytest.mark.timeout(240)


def failed_at(saga: Saga, name: str) -> list[str]:
    """The events of an order whose step `name` fails: those before it are done, and undone."""
    step = saga.step(name)
    before = saga.steps[: saga.steps.index(step)]
    done_and_undone = tuple(event for s in before for event in (s.done, s.undone))
    return kinds(saga.starts, done_and_undone, step.failed, saga.aborts)


async def test_an_order_is_sold_and_paid(scene: Scene) -> None:
    await scene.stock(lamp=10, pen=4)

    order = await scene.place(lamp=2, pen=4)

    assert ("CONFIRMED", None) == await scene.end(order)
    await scene.closes()
    done = tuple(step.done for step in scene.saga.steps)
    assert {order: kinds("OrderPlaced", done, "OrderConfirmed")} == await scene.log(order)
    assert {"lamp": (8, {}, 2), "pen": (0, {}, 4)} == await scene.shelf()
    assert "CHARGED" == await scene.payment(order)
    assert ["charge"] == await scene.provider.calls(order)


async def test_an_order_whose_payment_is_declined_holds_nothing(scene: Scene) -> None:
    await scene.stock(lamp=10)
    basket = scene.basket(lamp=2)
    await scene.provider.tricks(basket.id, charge=["decline"])

    order = await scene.post(basket)

    assert ("CANCELLED", "PAYMENT_FAILED") == await scene.end(order)
    await scene.closes()
    assert {order: failed_at(scene.saga, "payment")} == await scene.log(order)
    assert {"lamp": (10, {}, 0)} == await scene.shelf()
    assert "FAILED" == await scene.payment(order)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        pytest.param({"lamp": 3}, "OUT_OF_STOCK", id="out of stock"),
        pytest.param({"pen": 2, "lamp": 3, "cup": 1}, "OUT_OF_STOCK", id="one of three is short"),
        pytest.param({"pen": 1, "nothing": 1}, "UNKNOWN_PRODUCT", id="unknown product"),
        pytest.param({"lamp": 3, "nothing": 1}, "UNKNOWN_PRODUCT", id="short and unknown"),
    ],
)
async def test_an_order_that_can_not_be_had_takes_no_stock_and_no_money(
    scene: Scene, wanted: dict[str, int], reason: str
) -> None:
    await scene.stock(lamp=2, pen=5, cup=1)

    order = await scene.place(**wanted)

    assert ("CANCELLED", reason) == await scene.end(order)
    await scene.closes()
    assert {order: failed_at(scene.saga, "inventory")} == await scene.log(order)
    assert {"lamp": (2, {}, 0), "pen": (5, {}, 0), "cup": (1, {}, 0)} == await scene.shelf()
    paid_before = scene.saga.steps[0].name == "payment"
    assert ("REFUNDED" if paid_before else ABSENT) == await scene.payment(order)


async def test_a_product_named_twice_adds_up(scene: Scene) -> None:
    await scene.stock(lamp=3)
    basket = scene.basket(lamp=2)
    line = basket.body["items"][0]
    twice = {**basket.body, "items": [line, line]}

    status, answer = await scene.ask("POST", "/orders", twice, Prefer="wait=30")

    assert (200, "CANCELLED", "OUT_OF_STOCK") == (status, answer["status"], answer["reason"])
    await scene.closes()
    assert {"lamp": (3, {}, 0)} == await scene.shelf()
