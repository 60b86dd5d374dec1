"""Orders through the saga: how they end, how long it takes, what is undone."""

from infra.grafana.describing import (
    GREEN,
    RED,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    now,
    quantiles,
    rate,
)

SAGAS = Dashboard(
    uid="orderflow-sagas",
    title="Orderflow / Sagas",
    description="How orders end, how long they take, what is undone, and what guards the stock.",
    rows=(
        Row(
            "Ends",
            (
                Panel(
                    "Sagas ended",
                    "success: confirmed; compensated: cancelled after something was undone; "
                    "failed: cancelled with nothing to undo.",
                    [Query(rate("saga_executions_total", "status"), "{{status}}")],
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "Confirmed",
                    "The part of the ended sagas that was confirmed, over five minutes.",
                    [Query("job:saga_executions:success_ratio_rate5m", "confirmed")],
                    unit="percentunit",
                    base=RED,
                    thresholds=(Threshold(0.5, YELLOW), Threshold(0.8, GREEN)),
                    top=1,
                ),
                Panel(
                    "Time from placed to ended",
                    "Quantiles of the sagas that ended; the time-out is SAGA_TIMEOUT_SECONDS "
                    "(900).",
                    quantiles("saga_duration_seconds", 0.5, 0.9, 0.99),
                    unit="s",
                    thresholds=(Threshold(5, YELLOW), Threshold(60, RED)),
                ),
            ),
        ),
        Row(
            "Under way",
            (
                Panel(
                    "Orders under way",
                    "Orders of each worker's partitions that have not ended, at its last sweep.",
                    [Query(now("sagas_pending", "instance"), "{{instance}}")],
                    unit="short",
                    stacked=True,
                    thresholds=(Threshold(1000, YELLOW),),
                ),
                Panel(
                    "Oldest order under way",
                    "Its age. SagasStuck fires above 300 s.",
                    [
                        Query(
                            now("saga_oldest_pending_seconds", "instance", how="max"),
                            "{{instance}}",
                        )
                    ],
                    unit="s",
                    thresholds=(Threshold(300, RED),),
                ),
                Panel(
                    "Orders stored",
                    "New orders, each counted once however often its event is delivered.",
                    [Query(rate("orders_created_total", "instance"), "{{instance}}")],
                    unit="ops",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Compensations and payments",
            (
                Panel(
                    "Steps undone",
                    "What was done and then undone, because a later step failed or the order was "
                    "cancelled.",
                    [Query(rate("saga_compensation_executions_total", "step"), "{{step}}")],
                    unit="ops",
                ),
                Panel(
                    "Compensations refused",
                    "Refunds that the provider refused. Each is asked for again; "
                    "CompensationFailing fires at the first.",
                    [Query(rate("saga_compensation_failures_total", "step"), "{{step}}")],
                    unit="ops",
                    thresholds=(Threshold(0.001, RED),),
                ),
                Panel(
                    "Payments",
                    "What became of them: charged, failed, refunded.",
                    [Query(rate("payments_processed_total", "status"), "{{status}}")],
                    unit="ops",
                ),
            ),
        ),
        Row(
            "Locks and stock",
            (
                Panel(
                    "Leases",
                    "Asked for and granted, asked for in vain, lost before they were given back.",
                    [Query(rate("lock_acquisitions_total", "status"), "{{status}}")],
                    unit="ops",
                ),
                Panel(
                    "Locks found taken",
                    "Calls that found a lock taken by another worker, by the kind of what it "
                    "locks.",
                    [Query(rate("lock_contentions_total", "resource"), "{{resource}}")],
                    unit="ops",
                ),
                Panel(
                    "Writes refused by the stock's guard",
                    "A higher fencing token was there, or units would have been sold that are "
                    "not there. OversellGuardHit fires at the first.",
                    [Query(rate("stock_guard_refusals_total", "instance"), "{{instance}}")],
                    unit="ops",
                    thresholds=(Threshold(0.001, RED),),
                ),
            ),
        ),
    ),
)
