"""The saga's table, and the routing derived from it."""

from dataclasses import replace

import pytest

from app.events import EVENT_TYPES, OrderData, StepFailed
from app.saga import (
    INVENTORY,
    INVENTORY_FIRST,
    PAYMENT,
    PAYMENT_FIRST,
    SAGAS,
    Saga,
    SagaState,
    Step,
)
from tests.unit.saga.stories import both_tables


def test_a_participant_acts_when_the_step_before_it_is_done() -> None:
    assert "OrderPlaced" == INVENTORY_FIRST.trigger("inventory")
    assert "InventoryReserved" == INVENTORY_FIRST.trigger("payment")
    assert "OrderPlaced" == PAYMENT_FIRST.trigger("payment")
    assert "PaymentProcessed" == PAYMENT_FIRST.trigger("inventory")


def test_a_participant_compensates_when_a_later_step_failed_or_the_order_is_cancelled() -> None:
    assert ("PaymentFailed", "OrderCancelling") == INVENTORY_FIRST.undo_triggers("inventory")
    assert ("OrderCancelling",) == INVENTORY_FIRST.undo_triggers("payment")
    assert ("InventoryRejected", "OrderCancelling") == PAYMENT_FIRST.undo_triggers("payment")
    assert ("OrderCancelling",) == PAYMENT_FIRST.undo_triggers("inventory")


def test_the_two_sagas_differ_in_the_order_of_their_steps_alone() -> None:
    assert (INVENTORY, PAYMENT) == INVENTORY_FIRST.steps
    assert (PAYMENT, INVENTORY) == PAYMENT_FIRST.steps
    assert replace(INVENTORY_FIRST, steps=PAYMENT_FIRST.steps) == PAYMENT_FIRST
    assert set(INVENTORY_FIRST.events()) == set(PAYMENT_FIRST.events())


CANCELS = "OrderCancelling"
# Of either saga, with its first and its second step: the state, the step under way, what was seen.
COURSES: list[tuple[SagaState, str | None, str]] = [
    (SagaState.WAITING, "first", ""),
    (SagaState.WAITING, "second", "first.done"),
    (SagaState.WAITING, None, "first.failed"),
    (SagaState.RUNNING, "first", "starts"),
    (SagaState.RUNNING, "second", "starts first.done"),
    (SagaState.RUNNING, "first", "starts second.done"),
    (SagaState.COMPLETED, None, "starts first.done second.done"),
    (SagaState.ABORTED, None, "starts first.failed"),
    (SagaState.COMPENSATING, "first", "starts first.done second.failed"),
    (SagaState.ABORTED, None, "starts first.done second.failed first.undone"),
    (SagaState.ABORTED, None, "starts second.failed first.undone"),
    (SagaState.COMPENSATING, "second", "starts cancels"),
    (SagaState.COMPENSATING, "second", "starts cancels first.done second.done"),
    (SagaState.COMPENSATING, "second", "starts cancels first.undone"),
    (SagaState.COMPENSATING, "first", "starts cancels second.undone"),
    (SagaState.COMPENSATING, "first", "starts cancels second.failed"),
    (SagaState.COMPENSATING, "second", "starts cancels first.failed"),
    (SagaState.ABORTED, None, "starts cancels first.undone second.undone"),
    (SagaState.ABORTED, None, "starts cancels first.undone second.failed"),
    (SagaState.ABORTED, None, "starts cancels first.failed second.undone"),
    (SagaState.ABORTED, None, "starts cancels first.undone second.undone first.done second.done"),
    (SagaState.WAITING, None, "cancels first.undone second.undone"),
]


def seen(table: Saga, course: str) -> list[str]:
    """The names of the events that a course speaks of."""
    steps = dict(zip(("first", "second"), table.steps, strict=True))
    special = {"starts": table.starts, "cancels": table.cancels}
    return [
        special[word] if word in special else getattr(steps[word.split(".")[0]], word.split(".")[1])
        for word in course.split()
    ]


@both_tables
@pytest.mark.parametrize(("state", "current", "course"), COURSES)
def test_the_state_is_what_the_events_seen_so_far_say(
    state: SagaState, current: str | None, course: str, table: Saga
) -> None:
    names = {"first": table.steps[0].name, "second": table.steps[1].name, None: None}
    events = seen(table, course)

    assert state is table.state(events)
    assert state is table.state(tuple(reversed(events)))
    assert names[current] == table.current(events)


@both_tables
def test_a_refund_that_failed_shows_until_it_is_given(table: Saga) -> None:
    failed = [table.starts, CANCELS, INVENTORY.undone, "PaymentRefundFailed"]

    assert SagaState.COMPENSATION_FAILED is table.state(failed)
    assert "payment" == table.current(failed)
    assert SagaState.ABORTED is table.state([*failed, "PaymentRefunded"])


@both_tables
def test_the_saga_goes_back_from_a_failure_or_a_cancellation_on(table: Saga) -> None:
    first, second = table.steps

    assert not table.undoing({table.starts, first.done, second.done, first.undone})
    assert table.undoing({first.failed})
    assert table.undoing({CANCELS})


@both_tables
def test_what_is_owed_of_a_cancelled_order_is_every_step_that_could_have_begun(table: Saga) -> None:
    first, second = table.steps

    def owed(*events: str) -> tuple[Step, ...]:
        return table.owed({table.starts, CANCELS, *events})

    assert (first, second) == owed() == owed(first.done, second.done)
    assert (first,) == owed(second.undone) == owed(second.failed)
    assert (second,) == owed(first.undone) == owed(first.failed)
    assert () == owed(first.undone, second.undone)


@both_tables
def test_nothing_is_owed_while_the_saga_goes_forward(table: Saga) -> None:
    assert () == table.owed({table.starts, *(step.done for step in table.steps)})


def test_every_saga_is_chosen_by_the_names_of_its_steps() -> None:
    for name, saga in SAGAS.items():
        assert name == ",".join(step.name for step in saga.steps)
    assert INVENTORY_FIRST is SAGAS["inventory,payment"]
    assert PAYMENT_FIRST is SAGAS["payment,inventory"]


@both_tables
def test_the_ends_and_the_cancellation_are_no_events_that_move_the_saga(table: Saga) -> None:
    """The order service says them itself."""
    said = {table.completes, table.aborts, table.cancels, table.cancel_request}
    assert not said & set(table.events())
    assert 8 == len(set(table.events())) == len(table.events())


@both_tables
def test_a_step_carries_the_order_on_and_its_failure_says_why(table: Saga) -> None:
    for step in table.steps:
        assert issubclass(EVENT_TYPES[step.done], OrderData)
        assert issubclass(EVENT_TYPES[step.failed], StepFailed)
