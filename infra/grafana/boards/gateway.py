"""The gateways: what they answer, how they reach the workers, what they refuse and keep."""

from infra.grafana.describing import (
    GATEWAYS,
    GREEN,
    HEALTH,
    RED,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    now,
    or_none,
    quantile,
    rate,
)

CUSTOMERS = f'path!~"{HEALTH}"'

GATEWAY = Dashboard(
    uid="orderflow-gateway",
    title="Orderflow / Gateway",
    description="What gateways answer, how they reach the workers, what they refuse and keep.",
    jobs=(GATEWAYS,),
    rows=(
        Row(
            "Requests",
            (
                Panel(
                    "Requests by path",
                    "By the first part of the path, health checks left out.",
                    [
                        Query(
                            rate("http_requests_total", "path", job=GATEWAYS, where=CUSTOMERS),
                            "{{path}}",
                        )
                    ],
                    unit="reqps",
                ),
                Panel(
                    "Requests by status",
                    "All statuses; 5xx is what the error budget is spent on.",
                    [
                        Query(
                            rate("http_requests_total", "status", job=GATEWAYS, where=CUSTOMERS),
                            "{{status}}",
                        )
                    ],
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Slowest hundredth by path",
                    "99 of 100 answers took no longer. Streams and requests that wait for their "
                    "order count with all the time they were open.",
                    [
                        Query(
                            quantile(
                                0.99,
                                "http_request_duration_seconds",
                                "path",
                                job=GATEWAYS,
                                where=CUSTOMERS,
                            ),
                            "{{path}}",
                        )
                    ],
                    unit="s",
                    thresholds=(Threshold(2, RED),),
                ),
            ),
        ),
        Row(
            "Workers, as the gateways see them",
            (
                Panel(
                    "Breakers",
                    "0 closed, 1 half-open, 2 open. CircuitBreakerOpen fires after two minutes "
                    "above 0.",
                    [
                        Query(
                            now(
                                "circuit_breaker_state",
                                "instance",
                                "target",
                                job=GATEWAYS,
                                how="max",
                            ),
                            "{{instance}} → {{target}}",
                        )
                    ],
                    unit="short",
                    thresholds=(Threshold(1, YELLOW), Threshold(2, RED)),
                    top=2,
                    decimals=0,
                ),
                Panel(
                    "Requests under way",
                    "By worker and kind: held requests wait for an order or are streams.",
                    [
                        Query(
                            now("gateway_requests_outstanding", "target", "kind", job=GATEWAYS),
                            "{{target}} {{kind}}",
                        )
                    ],
                    unit="short",
                    thresholds=(Threshold(400, YELLOW),),
                ),
                Panel(
                    "Refused: no worker could be asked",
                    "503 at once, because all live workers were full, or their breakers open.",
                    [
                        Query(
                            or_none(
                                rate("gateway_refusals_total", "reason", job=GATEWAYS), "reason"
                            ),
                            "{{reason}}",
                        )
                    ],
                    unit="reqps",
                    thresholds=(Threshold(0.1, RED),),
                ),
                Panel(
                    "Sent again",
                    "Requests whose connection broke and that could be sent again: they were, or "
                    "the budget for it was used up.",
                    [
                        Query(
                            or_none(
                                rate("gateway_resends_total", "outcome", job=GATEWAYS), "outcome"
                            ),
                            "{{outcome}}",
                        )
                    ],
                    unit="reqps",
                    thresholds=(Threshold(1, YELLOW),),
                ),
                Panel(
                    "Requests at the workers",
                    "What workers themselves answered, by status.",
                    [
                        Query(
                            f'sum by (status) (rate(http_requests_total{{job="workers",'
                            f"{CUSTOMERS}}}[$__rate_interval]))",
                            "{{status}}",
                        )
                    ],
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Time at the workers",
                    "Quantiles of what workers answered within five minutes, streams left out.",
                    [
                        Query(f'job:http_request_duration_seconds:{q}_rate5m{{job="workers"}}', q)
                        for q in ("p50", "p95", "p99")
                    ],
                    unit="s",
                    thresholds=(Threshold(2, RED),),
                ),
            ),
        ),
        Row(
            "Limits and the read cache",
            (
                Panel(
                    "Refused by a rate limit",
                    "429, by whose limit it was.",
                    [
                        Query(
                            or_none(rate("rate_limited_total", "limit", job=GATEWAYS), "limit"),
                            "{{limit}}",
                        )
                    ],
                    unit="reqps",
                    thresholds=(Threshold(1, YELLOW),),
                ),
                Panel(
                    "Read cache",
                    "Requests for what is kept for seconds, by what became of them.",
                    [
                        Query(
                            or_none(
                                rate("cache_requests_total", "outcome", job=GATEWAYS), "outcome"
                            ),
                            "{{outcome}}",
                        )
                    ],
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Redis answers",
                    "1 it does, 0 it does not: then nothing is kept, and each gateway limits for "
                    "itself. RedisUnavailable fires after a minute.",
                    [
                        Query(
                            now("redis_available", "instance", job=GATEWAYS, how="min"),
                            "{{instance}}",
                        )
                    ],
                    unit="bool_yes_no",
                    base=RED,
                    thresholds=(Threshold(1, GREEN),),
                    top=1,
                ),
            ),
        ),
    ),
)
