"""The saga's table, and the routing derived from it."""

import pytest

from app.saga import INVENTORY, INVENTORY_FIRST, PAYMENT, SAGAS, Saga, SagaState
from tests.builders import PAYMENT_FIRST


def test_a_participant_acts_when_the_step_before_it_is_done() -> None:
    assert "OrderPlaced" == INVENTORY_FIRST.trigger("inventory")
    assert "InventoryReserved" == INVENTORY_FIRST.trigger("payment")
    assert "OrderPlaced" == PAYMENT_FIRST.trigger("payment")
    assert "PaymentProcessed" == PAYMENT_FIRST.trigger("inventory")


def test_a_participant_compensates_when_a_later_step_failed() -> None:
    assert ("PaymentFailed",) == INVENTORY_FIRST.undo_triggers("inventory")
    assert () == INVENTORY_FIRST.undo_triggers("payment")
    assert ("InventoryRejected",) == PAYMENT_FIRST.undo_triggers("payment")


def test_a_third_step_is_one_entry_in_the_table() -> None:
    shipping = type(INVENTORY)("shipping", "OrderShipped", "ShippingFailed", "ShippingRecalled")
    saga = Saga("OrderPlaced", (INVENTORY, PAYMENT, shipping), "OrderConfirmed", "OrderCancelled")

    assert "PaymentProcessed" == saga.trigger("shipping")
    assert ("PaymentFailed", "ShippingFailed") == saga.undo_triggers("inventory")
    seen = {"OrderPlaced", "InventoryReserved", "PaymentProcessed", "ShippingFailed"}
    assert (INVENTORY, PAYMENT) == saga.owed(seen)
    assert "payment" == saga.current(seen)
    assert (INVENTORY,) == saga.owed({*seen, "PaymentRefunded"})
    assert SagaState.ABORTED is saga.state({*seen, "PaymentRefunded", "InventoryReleased"})


@pytest.mark.parametrize(
    ("state", "current", "seen"),
    [
        (SagaState.WAITING, "inventory", ()),
        (SagaState.WAITING, "payment", ("InventoryReserved",)),
        (SagaState.WAITING, None, ("InventoryRejected",)),
        (SagaState.RUNNING, "inventory", ("OrderPlaced",)),
        (SagaState.RUNNING, "payment", ("OrderPlaced", "InventoryReserved")),
        (SagaState.RUNNING, "inventory", ("OrderPlaced", "PaymentProcessed")),
        (SagaState.COMPLETED, None, ("OrderPlaced", "InventoryReserved", "PaymentProcessed")),
        (SagaState.ABORTED, None, ("OrderPlaced", "InventoryRejected")),
        (
            SagaState.COMPENSATING,
            "inventory",
            ("OrderPlaced", "InventoryReserved", "PaymentFailed"),
        ),
        (
            SagaState.ABORTED,
            None,
            ("OrderPlaced", "InventoryReserved", "PaymentFailed", "InventoryReleased"),
        ),
    ],
)
def test_the_state_is_what_the_events_seen_so_far_say(
    state: SagaState, current: str | None, seen: tuple[str, ...]
) -> None:
    assert state is INVENTORY_FIRST.state(seen)
    assert state is INVENTORY_FIRST.state(tuple(reversed(seen)))
    assert current == INVENTORY_FIRST.current(seen)


def test_every_saga_is_chosen_by_the_names_of_its_steps() -> None:
    for name, saga in SAGAS.items():
        assert name == ",".join(step.name for step in saga.steps)
    assert INVENTORY_FIRST is SAGAS["inventory,payment"]


def test_the_ends_are_no_events_that_move_the_saga() -> None:
    assert not {"OrderConfirmed", "OrderCancelled"} & set(INVENTORY_FIRST.events())
    assert 7 == len(INVENTORY_FIRST.events())
