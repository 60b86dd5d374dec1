"""What is counted of orders, sagas and payments: each thing once, when it is stored first."""

from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from app.agents.order import OrderService
from app.agents.payment import PaymentService
from app.domain.payment import Result
from app.events import Event, timestamp
from app.metrics.worker import WorkerMetrics
from app.resources import Resources
from app.saga import INVENTORY_FIRST
from app.stores import repositories
from tests.builders import START, after, order, order_id, placed
from tests.metrics import Figures
from tests.unit.agents.fakes import CrashError, FakeDatabase, FakeProvider, resources, run

AT = timestamp(START)
TOTAL = 2.55  # of an order of one apple


class World:
    """Services over servers in memory, and what is counted of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.database = FakeDatabase()
        self.resources: Resources = resources(self.database)
        self.resources.listeners = WorkerMetrics(self.registry, INVENTORY_FIRST).listeners
        self.provider = FakeProvider()

    def orders(self, *events: Event) -> None:
        run(OrderService(self.resources, INVENTORY_FIRST).handle(events))

    def payments(self, *events: Event) -> None:
        run(PaymentService(self.resources, INVENTORY_FIRST, self.provider).handle(events))

    @property
    def figures(self) -> Figures:
        return Figures.of(self.registry)


def story(number: int, *kinds: str) -> list[Event]:
    """An order, and what followed."""
    told = [placed(number=number)]
    for kind in kinds:
        told.append(after(told[-1], kind, AT, of=order(number=number)))
    return told


CONFIRMED = ("InventoryReserved", "PaymentProcessed")
COMPENSATED = ("InventoryReserved", "PaymentFailed", "InventoryReleased")
FAILED = ("InventoryRejected",)
# Cancelled before anything was done: each step only promises that it never will.
WITHDRAWN = ("OrderCancelling", "InventoryReleased", "PaymentRefunded")


def test_each_end_is_counted_once_however_often_its_records_come() -> None:
    world = World()
    told = [*story(1, *CONFIRMED), *story(2, *COMPENSATED), *story(3, *FAILED)]

    world.orders(*told)
    for event in told:
        world.orders(event)
    world.orders(*told)

    figures = world.figures
    assert {"success": 1, "compensated": 1, "failed": 1} == figures.by(
        "saga_executions_total", "status"
    )
    assert 3 == figures.sum("orders_created_total")
    assert TOTAL == pytest.approx(figures.sum("revenue_total"))
    assert {"inventory": 1} == figures.by("saga_compensation_executions_total", "step")
    assert 3 == figures.sum("saga_duration_seconds_count")


def test_ends_count_the_same_in_one_batch_and_one_by_one() -> None:
    together, apart = World(), World()
    told = [*story(1, *CONFIRMED), *story(2, *COMPENSATED)]

    together.orders(*told)
    for event in told:
        apart.orders(event)

    # The clocks tick once a batch, so the durations differ.
    assert without_durations(together.figures) == without_durations(apart.figures)


def without_durations(figures: Figures) -> list[object]:
    return [sample for sample in figures.samples if not sample[0].startswith("saga_duration")]


def test_what_was_never_done_is_not_compensated_when_an_order_is_cancelled() -> None:
    world = World()
    first, *rest = story(1, *WITHDRAWN)
    request = after(first, "CancellationRequested", AT, of=order())

    world.orders(first, request, *rest[1:])

    assert {"failed": 1} == world.figures.by("saga_executions_total", "status")
    assert {} == world.figures.by("saga_compensation_executions_total", "step")


def test_an_order_of_which_only_steps_were_heard_is_created_when_it_is_placed() -> None:
    world = World()
    first, reserved, charged = story(1, *CONFIRMED)

    world.orders(reserved)
    assert 0 == world.figures.sum("orders_created_total")
    world.orders(charged)
    world.orders(first)

    assert 1 == world.figures.sum("orders_created_total")
    assert 1 == world.figures.sum("saga_executions_total")


def test_a_crash_that_hides_what_was_stored_leaves_it_uncounted_and_never_counts_it_twice() -> None:
    world = World()
    told = [placed(number=n) for n in (1, 2, 3)]
    world.database[repositories.ORDERS].crash = lambda count: (0,)

    with pytest.raises(CrashError):
        world.orders(*told)
    world.orders(*told)

    assert 2 == world.figures.sum("orders_created_total")


def test_a_payment_counts_once_for_each_outcome_it_came_to() -> None:
    world = World()
    world.provider.declines = {order_id(2)}
    charged, declined = story(1, *CONFIRMED[:1])[1], story(2, *CONFIRMED[:1])[1]
    cancelled = after(charged, "OrderCancelling", AT, of=order())

    for batch in ([charged, declined], [cancelled], [charged, declined, cancelled]):
        world.payments(*batch)

    assert {"charged": 1, "failed": 1, "refunded": 1} == world.figures.by(
        "payments_processed_total", "status"
    )


def test_a_payment_charged_and_refunded_within_a_batch_counts_as_both() -> None:
    world = World()
    (_, reserved) = story(1, *CONFIRMED[:1])

    world.payments(reserved, after(reserved, "OrderCancelling", AT, of=order()))

    assert {"charged": 1, "refunded": 1} == world.figures.by("payments_processed_total", "status")


def test_each_refused_attempt_at_a_refund_is_a_failed_compensation() -> None:
    class Refusing(FakeProvider):
        refusals = 2

        async def call(self, requests: Sequence[object]) -> Sequence[Result]:
            if "refund" in str(requests) and self.refusals:
                self.refusals -= 1
                return [Result(ok=False, detail="not today")] * len(requests)
            return await super().call(requests)  # type: ignore[arg-type]

    world = World()
    world.provider = Refusing()
    (_, reserved) = story(1, *CONFIRMED[:1])
    cancelled = after(reserved, "OrderCancelling", AT, of=order())
    again = [
        after(cancelled, "PaymentRefundRetried", AT, of=order(), attempt=attempt)
        for attempt in (2, 3)
    ]

    for event in (reserved, cancelled, *again, *again):
        world.payments(event)

    assert {"payment": 2} == world.figures.by("saga_compensation_failures_total", "step")
    assert {"charged": 1, "refunded": 1} == world.figures.by("payments_processed_total", "status")


def test_a_withdrawal_moves_no_money_and_counts_as_no_payment() -> None:
    world = World()

    world.payments(after(placed(), "OrderCancelling", AT, of=order()))

    assert {} == world.figures.by("payments_processed_total", "status")
