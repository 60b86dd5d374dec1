"""The service level: 99.9 % of the requests of 30 days without 5xx."""

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
    or_none,
    rate,
)

ALLOWED = 0.001
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# Of burn rates at which the alerts of infra/prometheus/alerts.yml fire.
SLOW, FAST = 1, 14.4
OURS = '{job="gateways"}'
# Work with `[30d]` is two series of one sample an evaluation; less where Prometheus is younger.
FAILED = f"sum_over_time(job:http_errors:rate5m{OURS}[30d])"
ALL = f"sum_over_time(job:http_requests:rate5m{OURS}[30d])"

SLO = Dashboard(
    uid="orderflow-slo",
    title="Orderflow / Service level",
    description=(
        "Of the requests that gateways answered within 30 days, 99.9 % must not be 5xx. Health "
        "checks are left out; what no gateway could answer is not counted, see GatewayDown."
    ),
    jobs=(GATEWAYS,),
    span="now-6h",
    rows=(
        Row(
            "The last 30 days, or as many as Prometheus has",
            (
                Panel(
                    "Requests without a fault",
                    "The part of the requests without 5xx. The aim is 99.9%.",
                    [Query(f"1 - {FAILED} / {ALL}")],
                    unit="percentunit",
                    kind="stat",
                    width=6,
                    height=4,
                    base=RED,
                    thresholds=(Threshold(0.999, GREEN),),
                    top=1,
                    decimals=3,
                ),
                Panel(
                    "Error budget left",
                    "What is left of the one request in 1,000 that may fail; below 0 the service "
                    "level is missed.",
                    [Query(f"clamp_min(1 - {FAILED} / {ALL} / {ALLOWED}, -1)")],
                    unit="percentunit",
                    kind="stat",
                    width=6,
                    height=4,
                    base=RED,
                    thresholds=(Threshold(0, YELLOW), Threshold(0.25, GREEN)),
                    top=1,
                    decimals=1,
                ),
                Panel(
                    "Burn rate of the last hour",
                    "1 uses the budget up in exactly 30 days; ErrorBudgetBurnFast fires at 14.4.",
                    [Query(f"job:http_errors:ratio_rate1h{OURS} / {ALLOWED} >= 0")],
                    unit="short",
                    kind="stat",
                    width=6,
                    height=4,
                    thresholds=(Threshold(SLOW, YELLOW), Threshold(FAST, RED)),
                    decimals=1,
                ),
                Panel(
                    "Requests",
                    "Requests a second, over five minutes.",
                    [Query(f"job:http_requests:rate5m{OURS}")],
                    unit="reqps",
                    kind="stat",
                    width=6,
                    height=4,
                ),
            ),
        ),
        Row(
            "Burn",
            (
                Panel(
                    "Burn rate by window",
                    "How fast the budget is used up, over each window of the alerts: above 14.4 "
                    "within an hour, 6 within six, 3 within a day, 1 within three days.",
                    [
                        Query(f"job:http_errors:ratio_rate{window}{OURS} / {ALLOWED} >= 0", window)
                        for window in WINDOWS
                    ],
                    unit="short",
                    thresholds=(Threshold(SLOW, YELLOW), Threshold(FAST, RED)),
                    width=12,
                ),
                Panel(
                    "Part of requests that failed",
                    "The same as parts of all requests: the service level allows 0.1%.",
                    [
                        Query(f"job:http_errors:ratio_rate{window}{OURS} >= 0", window)
                        for window in WINDOWS
                    ],
                    unit="percentunit",
                    thresholds=(Threshold(ALLOWED, YELLOW), Threshold(FAST * ALLOWED, RED)),
                    width=12,
                ),
            ),
        ),
        Row(
            "What fails",
            (
                Panel(
                    "Failing requests by path and status",
                    "5xx that gateways answered.",
                    [
                        Query(
                            or_none(
                                rate(
                                    "http_requests_total",
                                    "path",
                                    "status",
                                    job=GATEWAYS,
                                    where=f'path!~"{HEALTH}",status=~"5.."',
                                ),
                                "path",
                            ),
                            "{{path}} {{status}}",
                        )
                    ],
                    unit="reqps",
                    width=12,
                ),
                Panel(
                    "Failing requests by gateway",
                    "Whether it is one of them, or what is behind all.",
                    [
                        Query(
                            or_none(
                                rate(
                                    "http_requests_total",
                                    "instance",
                                    job=GATEWAYS,
                                    where=f'path!~"{HEALTH}",status=~"5.."',
                                ),
                                "instance",
                            ),
                            "{{instance}}",
                        )
                    ],
                    unit="reqps",
                    width=12,
                ),
            ),
        ),
    ),
)
