"""The saga as data: the whole choreography is one table, and all routing is derived from it.

Nobody conducts. Each participant hears the event that its step waits for, acts, and says what came
of it; the order service only watches and says when the saga has ended.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from app.events import (
    EventData,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
)


class SagaState(StrEnum):
    """Where an order's saga stands."""

    WAITING = "WAITING"  # events of its steps were heard before the order itself
    RUNNING = "RUNNING"
    COMPENSATING = "COMPENSATING"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Step:
    """One participant's part: what it says when done, when it failed, when it is undone."""

    name: str
    done: str
    failed: str
    undone: str


def step(
    name: str, *, done: type[EventData], failed: type[EventData], undone: type[EventData]
) -> Step:
    """A step named by the models of its events."""
    return Step(name, done.__name__, failed.__name__, undone.__name__)


@dataclass(frozen=True, slots=True)
class Saga:
    """Steps in their order, between the event that starts them and the two that can end them."""

    starts: str
    steps: tuple[Step, ...]
    completes: str
    aborts: str

    def step(self, name: str) -> Step:
        """The step of the participant `name`."""
        return next(step for step in self.steps if step.name == name)

    def trigger(self, name: str) -> str:
        """The event that participant `name` acts on: the step before is done."""
        position = self.steps.index(self.step(name))
        return self.steps[position - 1].done if position else self.starts

    def undo_triggers(self, name: str) -> tuple[str, ...]:
        """The events that participant `name` compensates on: a later step failed."""
        position = self.steps.index(self.step(name))
        return tuple(later.failed for later in self.steps[position + 1 :])

    def events(self) -> tuple[str, ...]:
        """Every event that moves the saga, its own end apart."""
        return (self.starts, *(e for s in self.steps for e in (s.done, s.failed, s.undone)))

    def failed_step(self, seen: Collection[str]) -> Step | None:
        """The step that failed, given the events seen so far."""
        return next((step for step in self.steps if step.failed in seen), None)

    def owed(self, seen: Collection[str]) -> tuple[Step, ...]:
        """The compensations still owed: steps before the failed one that are not yet undone."""
        failed = self.failed_step(seen)
        if failed is None:
            return ()
        before = self.steps[: self.steps.index(failed)]
        return tuple(step for step in before if step.undone not in seen)

    def state(self, seen: Collection[str]) -> SagaState:
        """Where the saga stands, given the events seen so far, in whatever order they came."""
        if self.starts not in seen:
            return SagaState.WAITING
        if self.failed_step(seen):
            return SagaState.COMPENSATING if self.owed(seen) else SagaState.ABORTED
        if all(step.done in seen for step in self.steps):
            return SagaState.COMPLETED
        return SagaState.RUNNING

    def current(self, seen: Collection[str]) -> str | None:
        """The name of the step under way (forward or back), None once the saga has ended."""
        if self.failed_step(seen):
            owed = self.owed(seen)
            return owed[-1].name if owed else None
        return next((step.name for step in self.steps if step.done not in seen), None)


INVENTORY = step(
    "inventory", done=InventoryReserved, failed=InventoryRejected, undone=InventoryReleased
)
PAYMENT = step("payment", done=PaymentProcessed, failed=PaymentFailed, undone=PaymentRefunded)

INVENTORY_FIRST = Saga(
    starts=OrderPlaced.__name__,
    steps=(INVENTORY, PAYMENT),
    completes=OrderConfirmed.__name__,
    aborts=OrderCancelled.__name__,
)

SAGAS = {",".join(step.name for step in saga.steps): saga for saga in (INVENTORY_FIRST,)}
"""The sagas by the value of `SAGA_ORDER` that chooses them."""
