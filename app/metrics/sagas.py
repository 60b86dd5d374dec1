"""Orders, sagas, revenue and payments."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from app.domain import payment
from app.domain.order import Order
from app.domain.payment import Payment
from app.metrics.counting import PaymentOutcome, SagaEnd, count_orders, count_payments
from app.metrics.histogram import BatchHistogram
from app.saga import Saga
from app.stores.mongo import Stored

# From an order alone on a quiet machine, some tens of milliseconds, to the default time-out of a
# saga (900 s) and one sweep more.
SAGA_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1000)
MINOR_UNITS = 100


class SagaMetrics:
    """Told of stored orders and payments; see `app.metrics.counting` for what counts."""

    def __init__(self, registry: CollectorRegistry, saga: Saga) -> None:
        self._saga = saga
        self._created = Counter("orders_created_total", "Orders stored", registry=registry)
        self._revenue = Counter(
            "revenue_total", "Totals of confirmed orders, currency units", registry=registry
        )
        ends = Counter("saga_executions_total", "Sagas ended", ["status"], registry=registry)
        self._ends = {end: ends.labels(end.value) for end in SagaEnd}
        undone = Counter(
            "saga_compensation_executions_total", "Steps undone", ["step"], registry=registry
        )
        self._undone = {step.name: undone.labels(step.name) for step in saga.steps}
        refused = Counter(
            "saga_compensation_failures_total",
            "Attempts at undoing a step that were refused",
            ["step"],
            registry=registry,
        )
        self._refunds_refused = refused.labels(payment.STEP)
        self._seconds = BatchHistogram(
            "saga_duration_seconds", "From placed to ended", SAGA_SECONDS, registry
        )
        outcomes = Counter(
            "payments_processed_total", "Outcomes of payments", ["status"], registry=registry
        )
        self._payments = {outcome: outcomes.labels(outcome.value) for outcome in PaymentOutcome}
        self._pending = Gauge(
            "sagas_pending", "Orders of this worker's that have not ended", registry=registry
        )
        self._oldest = Gauge(
            "saga_oldest_pending_seconds", "Age of the oldest of them", registry=registry
        )

    def orders_stored(self, changes: Sequence[tuple[str, Stored[Order], Order]]) -> None:
        """`Listeners.orders_stored`."""
        counts = count_orders(changes, self._saga)
        if counts.created:
            self._created.inc(counts.created)
        if counts.revenue:
            self._revenue.inc(counts.revenue / MINOR_UNITS)
        for end, times in counts.ends.items():
            self._ends[end].inc(times)
        for step, times in counts.compensated.items():
            self._undone[step].inc(times)
        self._seconds.observe(counts.seconds)

    def payments_stored(self, changes: Sequence[tuple[str, Stored[Payment], Payment]]) -> None:
        """`Listeners.payments_stored`."""
        counts = count_payments(changes)
        for outcome, times in counts.outcomes.items():
            self._payments[outcome].inc(times)
        if counts.refunds_refused:
            self._refunds_refused.inc(counts.refunds_refused)

    def backlog(self, pending: int, oldest_seconds: float) -> None:
        """`Listeners.backlog`."""
        self._pending.set(pending)
        self._oldest.set(oldest_seconds)
