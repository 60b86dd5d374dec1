"""Events that come twice, late, or in another order than they happened."""

from dataclasses import dataclass
from itertools import permutations

import pytest

from tests.e2e.scenarios.scene import END_SECONDS, Basket, Scene
from tests.e2e.scenarios.stage import kinds

pytestmark = pytest.mark.timeout(240)

LAMPS = 50


async def test_duplicates_at_new_offsets_while_a_step_is_due_do_it_once(scene: Scene) -> None:
    first, second = scene.saga.steps
    await scene.stock(lamp=10)
    with scene.stage.held(second.name):
        order = await scene.place(lamp=2)
        await scene.noted(order, first.done)
        await scene.copy(*[record for record in await scene.records(order) for _ in range(3)])

    assert ("CONFIRMED", None) == await scene.end(order)
    await scene.closes()
    done = (first.done, second.done)
    assert {order: kinds("OrderPlaced", done, "OrderConfirmed")} == await scene.log(order)
    assert {"lamp": (8, {}, 2)} == await scene.shelf()
    assert ["charge"] == await scene.provider.calls(order)


async def test_duplicates_of_all_events_at_new_offsets_after_the_end_change_nothing(
    scene: Scene,
) -> None:
    await scene.stock(lamp=10)
    declined = scene.basket(lamp=1)
    await scene.provider.tricks(declined.id, charge=["decline"])
    orders = [await scene.place(lamp=2), await scene.place(lamp=20), await scene.post(declined)]
    ends = await scene.shop.all_end(orders, END_SECONDS)
    with scene.stage.held(scene.saga.steps[0].name):
        cancelled = await scene.place(lamp=1)
        await scene.noted(cancelled, "OrderPlaced")
        assert 202 == await scene.cancel(cancelled)
        await scene.said(cancelled, "OrderCancelling")
    orders.append(cancelled)
    ends[cancelled] = await scene.end(cancelled)
    await scene.closes()
    log, shelf = await scene.log(*orders), await scene.shelf()
    calls = [await scene.provider.calls(order) for order in orders]

    await scene.copy(*await scene.records(*orders))

    await scene.closes()
    assert ends == await scene.shop.statuses(orders)
    assert [None, "OUT_OF_STOCK", "PAYMENT_FAILED", "CANCELLED_BY_USER"] == [
        ends[order][1] for order in orders
    ]
    assert log == await scene.log(*orders)
    assert shelf == await scene.shelf()
    assert calls == [await scene.provider.calls(order) for order in orders]


@dataclass(frozen=True)
class Heard:
    """An order, and the order in which its events are heard."""

    basket: Basket
    types: tuple[str, ...]
    fails: bool


def every_way_to_hear(scene: Scene) -> list[Heard]:
    """Of an order whose steps are done, and of one whose second step fails: each permutation."""
    first, second = scene.saga.steps
    short = 2 * LAMPS if second.name == "inventory" else 1
    return [
        Heard(scene.basket(lamp=short if fails else 1), types, fails)
        for fails, steps in (
            (False, (first.done, second.done)),
            (True, (first.done, second.failed, first.undone)),
        )
        for types in permutations(("OrderPlaced", *steps))
    ]


async def test_the_order_service_ends_an_order_alike_in_whatever_order_it_hears_the_topics(
    scene: Scene,
) -> None:
    """It is away while the steps are done, and goes on at the ends of the topics. Then copies of
    the events come one after the other: of each order in another order."""
    plan = every_way_to_hear(scene)
    orders = [heard.basket.id for heard in plan]
    declines = scene.saga.steps[1].name == "payment"
    await scene.stock(lamp=LAMPS)
    with scene.stage.stopped_order_service():
        for heard in plan:
            if heard.fails and declines:
                await scene.provider.tricks(heard.basket.id, charge=["decline"])
            await scene.post(heard.basket)
        for heard in plan:
            await scene.said(heard.basket.id, *heard.types)
        await scene.stage.skip_what_the_order_service_has_not_heard()
    assert {} == await scene.shop.statuses(orders), "it has heard of none"
    records = await scene.records(*orders)
    by_type = {(r.key.decode(), dict(r.headers)["ce_type"].decode()): r for r in records}

    for turn in range(max(len(heard.types) for heard in plan)):
        due = [(h.basket.id, h.types[turn]) for h in plan if turn < len(h.types)]
        await scene.copy(*[by_type[each] for each in due])
        await scene.all_noted({order: (type_,) for order, type_ in due})

    failed = ("CANCELLED", "PAYMENT_FAILED" if declines else "OUT_OF_STOCK")
    expected = {h.basket.id: failed if h.fails else ("CONFIRMED", None) for h in plan}
    assert expected == await scene.shop.all_end(orders, END_SECONDS)
    await scene.closes()
    said = {
        h.basket.id: kinds(h.types, "OrderCancelled" if h.fails else "OrderConfirmed") for h in plan
    }
    assert said == await scene.log(*orders)
    sold = sum(not heard.fails for heard in plan)
    assert {"lamp": (LAMPS - sold, {}, sold)} == await scene.shelf()


async def test_a_step_that_hears_its_turn_after_the_cancellation_does_not_begin(
    scene: Scene,
) -> None:
    first, second = scene.saga.steps
    await scene.stock(lamp=10)
    with scene.stage.held(first.name):
        order = await scene.place(lamp=2)
        await scene.noted(order, "OrderPlaced")
        assert 202 == await scene.cancel(order)
        await scene.said(order, second.undone)
    assert ("CANCELLED", "CANCELLED_BY_USER") == await scene.end(order)
    await scene.closes()

    records = await scene.records(order)
    turn = [r for r in records if dict(r.headers)["ce_type"] == first.done.encode()]
    await scene.copy(*turn * 2)

    await scene.closes()
    assert second.done not in (await scene.log(order))[order]
    assert {"lamp": (10, {}, 0)} == await scene.shelf()
