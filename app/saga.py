"""The saga as data: the whole choreography is one table, and all routing is derived from it.

Nobody conducts. Each participant hears the event that its step waits for, acts, and says what came
of it; the order service only watches and says when the saga has ended.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from app.events import (
    CancellationRequested,
    EventData,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    OrderCancelled,
    OrderCancelling,
    OrderConfirmed,
    OrderData,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentRefundRetried,
    StepFailed,
)
from app.parts import SAGA_ORDERS


class SagaState(StrEnum):
    """Where an order's saga stands."""

    WAITING = "WAITING"  # events of its steps were heard before the order itself
    RUNNING = "RUNNING"
    COMPENSATING = "COMPENSATING"
    COMPENSATION_FAILED = "COMPENSATION_FAILED"  # a step could not be undone; it is tried again
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Step:
    """One participant's part: what it says when done, when it failed, when it is undone.

    Attributes:
        undo_failed: said when undoing did not work, by a step whose undoing can fail.
        undo_again: told to it when it is time to try once more.
    """

    name: str
    done: str
    failed: str
    undone: str
    undo_failed: str | None = None
    undo_again: str | None = None


def step(
    name: str,
    *,
    done: type[OrderData],
    failed: type[StepFailed],
    undone: type[EventData],
    undo_failed: type[EventData] | None = None,
    undo_again: type[EventData] | None = None,
) -> Step:
    """A step named by the models of its events."""
    return Step(
        name,
        done.__name__,
        failed.__name__,
        undone.__name__,
        undo_failed.__name__ if undo_failed else None,
        undo_again.__name__ if undo_again else None,
    )


@dataclass(frozen=True, slots=True)
class Saga:
    """Steps in their order, between the event that starts them and the two that can end them.

    Attributes:
        cancel_request: asks for the order to be cancelled; the order service alone answers it.
        cancels: tells every step to undo, whatever it has done so far.
    """

    starts: str
    steps: tuple[Step, ...]
    completes: str
    aborts: str
    cancel_request: str = CancellationRequested.__name__
    cancels: str = OrderCancelling.__name__

    def step(self, name: str) -> Step:
        """The step of the participant `name`."""
        return next(step for step in self.steps if step.name == name)

    def trigger(self, name: str) -> str:
        """The event that participant `name` acts on: the step before is done."""
        position = self.steps.index(self.step(name))
        return self.steps[position - 1].done if position else self.starts

    def undo_triggers(self, name: str) -> tuple[str, ...]:
        """The events that participant `name` compensates on: a later step failed, or the order is
        cancelled."""
        position = self.steps.index(self.step(name))
        return (*(later.failed for later in self.steps[position + 1 :]), self.cancels)

    def events(self) -> tuple[str, ...]:
        """Every event that moves the saga, its own end apart."""
        said = (e for s in self.steps for e in (s.done, s.failed, s.undone, s.undo_failed) if e)
        return (self.starts, *said)

    def failed_step(self, seen: Collection[str]) -> Step | None:
        """The step that failed, given the events seen so far."""
        return next((step for step in self.steps if step.failed in seen), None)

    def owed(self, seen: Collection[str]) -> tuple[Step, ...]:
        """The compensations still owed, given the events seen so far.

        After a failure: the steps before the failed one that are not undone. Of a cancelled order:
        every step that has neither failed nor said that it is undone, since one that has not begun
        could still begin.
        """
        failed = self.failed_step(seen)
        if self.cancels in seen:
            concerned = tuple(step for step in self.steps if step.failed not in seen)
        elif failed is not None:
            concerned = self.steps[: self.steps.index(failed)]
        else:
            return ()
        return tuple(step for step in concerned if step.undone not in seen)

    def undoing(self, seen: Collection[str]) -> bool:
        """Whether the saga goes backwards."""
        return self.cancels in seen or self.failed_step(seen) is not None

    def state(self, seen: Collection[str]) -> SagaState:
        """Where the saga stands, given the events seen so far, in whatever order they came."""
        if self.starts not in seen:
            return SagaState.WAITING
        if self.undoing(seen):
            owed = self.owed(seen)
            if any(step.undo_failed in seen for step in owed):
                return SagaState.COMPENSATION_FAILED
            return SagaState.COMPENSATING if owed else SagaState.ABORTED
        if all(step.done in seen for step in self.steps):
            return SagaState.COMPLETED
        return SagaState.RUNNING

    def current(self, seen: Collection[str]) -> str | None:
        """The name of the step under way (forward or back), None once the saga has ended."""
        if self.undoing(seen):
            owed = self.owed(seen)
            return owed[-1].name if owed else None
        return next((step.name for step in self.steps if step.done not in seen), None)


INVENTORY = step(
    "inventory", done=InventoryReserved, failed=InventoryRejected, undone=InventoryReleased
)
PAYMENT = step(
    "payment",
    done=PaymentProcessed,
    failed=PaymentFailed,
    undone=PaymentRefunded,
    undo_failed=PaymentRefundFailed,
    undo_again=PaymentRefundRetried,
)

STEPS = {step.name: step for step in (INVENTORY, PAYMENT)}


def in_order(saga_order: str) -> Saga:
    """The saga that takes these steps, one after the other."""
    return Saga(
        starts=OrderPlaced.__name__,
        steps=tuple(STEPS[name] for name in saga_order.split(",")),
        completes=OrderConfirmed.__name__,
        aborts=OrderCancelled.__name__,
    )


SAGAS = {saga_order: in_order(saga_order) for saga_order in SAGA_ORDERS}
"""The sagas by the value of `SAGA_ORDER` that chooses them."""
INVENTORY_FIRST = SAGAS["inventory,payment"]
PAYMENT_FIRST = SAGAS["payment,inventory"]
