"""The whole system at a glance."""

from infra.grafana.describing import (
    GATEWAYS,
    GREEN,
    HEALTH,
    RED,
    WORKERS,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    now,
    or_zero,
    rate,
)

OVERVIEW = Dashboard(
    uid="orderflow-overview",
    title="Orderflow / Overview",
    description="Whether customers are served, orders end, and processes are well.",
    jobs=(WORKERS, GATEWAYS),
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Orders a minute",
                    "Orders stored within the last minute.",
                    [Query("sum(job:orders_created:per_minute)")],
                    unit="short",
                    kind="stat",
                    width=4,
                    height=4,
                    decimals=0,
                ),
                Panel(
                    "Confirmed",
                    "Of the sagas that ended within the last five minutes, the part that was "
                    "confirmed. Declined payments and empty shelves lower it without a fault.",
                    [Query("job:saga_executions:success_ratio_rate5m")],
                    unit="percentunit",
                    kind="stat",
                    width=4,
                    height=4,
                    base=RED,
                    thresholds=(Threshold(0.5, YELLOW), Threshold(0.8, GREEN)),
                    top=1,
                    decimals=1,
                ),
                Panel(
                    "Requests failing",
                    "Of the requests that gateways answered within the last five minutes, the "
                    "part with 5xx. The service level allows 0.1%.",
                    [Query('job:http_errors:ratio_rate5m{job="gateways"} >= 0')],
                    unit="percentunit",
                    kind="stat",
                    width=4,
                    height=4,
                    thresholds=(Threshold(0.001, YELLOW), Threshold(0.0144, RED)),
                    decimals=2,
                ),
                Panel(
                    "Slowest hundredth",
                    "99 of 100 requests that gateways answered took no longer (five minutes). "
                    "Requests that wait for their order count with their wait.",
                    [Query('job:http_request_duration_seconds:p99_rate5m{job="gateways"} >= 0')],
                    unit="s",
                    kind="stat",
                    width=4,
                    height=4,
                    thresholds=(Threshold(0.5, YELLOW), Threshold(2, RED)),
                ),
                Panel(
                    "Orders under way",
                    "Orders that have not ended, as the workers' sweeps see them.",
                    [Query(now("sagas_pending"))],
                    unit="short",
                    kind="stat",
                    width=4,
                    height=4,
                    thresholds=(Threshold(1000, YELLOW), Threshold(10000, RED)),
                ),
                Panel(
                    "Alerts firing",
                    "Alerts of infra/prometheus/alerts.yml that fire now; its own page of "
                    "alerts names them.",
                    [Query(or_zero('count(ALERTS{alertstate="firing"})'))],
                    unit="short",
                    kind="stat",
                    width=4,
                    height=4,
                    thresholds=(Threshold(1, RED),),
                ),
            ),
        ),
        Row(
            "Customers",
            (
                Panel(
                    "Requests by status",
                    "Requests that gateways answered, health checks left out.",
                    [
                        Query(
                            rate(
                                "http_requests_total",
                                "status",
                                job=GATEWAYS,
                                where=f'path!~"{HEALTH}"',
                            ),
                            "{{status}}",
                        )
                    ],
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Time to the answer",
                    "Quantiles of what gateways answered within five minutes.",
                    [
                        Query(f'job:http_request_duration_seconds:{q}_rate5m{{job="gateways"}}', q)
                        for q in ("p50", "p95", "p99")
                    ],
                    unit="s",
                    thresholds=(Threshold(2, RED),),
                ),
                Panel(
                    "Orders",
                    "Orders stored, and sagas ended by how: confirmed, cancelled after something "
                    "was undone, cancelled with nothing to undo.",
                    [
                        Query(rate("orders_created_total"), "placed"),
                        Query(rate("saga_executions_total", "status"), "{{status}}"),
                    ],
                    unit="ops",
                ),
                Panel(
                    "Revenue",
                    "Totals of orders as they are confirmed, in currency units an hour at this "
                    "pace.",
                    [Query(f"3600 * {rate('revenue_total')}", "an hour")],
                    unit="short",
                ),
                Panel(
                    "Lag by group",
                    "Records that a consumer group has not finished.",
                    [Query("group:kafka_consumer_lag:sum", "{{group}}")],
                    unit="short",
                    thresholds=(Threshold(1000, YELLOW),),
                ),
                Panel(
                    "Dead letters",
                    "Records put aside because they could not be processed, by their topic.",
                    [Query(rate("dead_letters_total", "topic"), "{{topic}}")],
                    unit="ops",
                    thresholds=(Threshold(0.001, RED),),
                ),
            ),
        ),
        Row(
            "Processes",
            (
                Panel(
                    "Up",
                    "Whether Prometheus gets an answer: 1 it does, 0 it does not.",
                    [
                        Query(
                            f'up{{job=~"{WORKERS}|{GATEWAYS}",instance=~"$instance"}}',
                            "{{instance}}",
                        )
                    ],
                    unit="bool_on_off",
                    base=RED,
                    thresholds=(Threshold(1, GREEN),),
                    top=1,
                ),
                Panel(
                    "Processor",
                    "Cores that each process uses; its event loop is one thread.",
                    [
                        Query(
                            'rate(process_cpu_seconds_total{instance=~"$instance"}[$__rate_interval])',
                            "{{instance}}",
                        )
                    ],
                    unit="short",
                    thresholds=(Threshold(0.9, YELLOW),),
                    decimals=2,
                ),
                Panel(
                    "Memory",
                    "Resident memory of each process.",
                    [Query('process_resident_memory_bytes{instance=~"$instance"}', "{{instance}}")],
                    unit="bytes",
                    thresholds=(Threshold(512 * 2**20, YELLOW), Threshold(768 * 2**20, RED)),
                ),
                Panel(
                    "Event loop's lag",
                    "How much later than asked for the event loop came, at the worst in the last "
                    "15 s: all of a worker's services and requests wait so long.",
                    [Query(now("event_loop_lag_seconds", "instance", how="max"), "{{instance}}")],
                    unit="s",
                    thresholds=(Threshold(0.25, YELLOW), Threshold(1, RED)),
                ),
                Panel(
                    "Services ready",
                    "Processes in which each service takes part in its group and has its tables.",
                    [Query(now("service_ready", "service"), "{{service}}")],
                    unit="short",
                    base=RED,
                    thresholds=(Threshold(1, GREEN),),
                ),
                Panel(
                    "Open files",
                    "File descriptors: connections, and the files of the tables.",
                    [Query('process_open_fds{instance=~"$instance"}', "{{instance}}")],
                    unit="short",
                    thresholds=(Threshold(800, YELLOW),),
                ),
            ),
        ),
    ),
)
