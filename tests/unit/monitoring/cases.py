"""When each alert fires, and when it does not: series as promtool takes them, and what is said.

A series is one sample a minute: `0+2x20` begins at 0 and grows by 2 twenty times, `_x5` are five
samples that are missing, `stale` is what a scrape leaves that failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Firing:
    """An alert that fires at a time, by its labels besides the severity, and how it tells it."""

    labels: Mapping[str, str]
    says: str


@dataclass(frozen=True)
class Case:
    """What happens in these series at this time; no `firing`: the alert keeps quiet.

    Attributes:
        every: how often the rules are looked at; less often over many hours.
    """

    name: str
    alert: str
    series: Mapping[str, str]
    at: str
    firing: tuple[Firing, ...] = field(default=())
    every: str = "1m"


def requests(status: str, path: str = "/api/orders") -> str:
    return (
        f'http_requests_total{{job="gateways",instance="gateway-1",service="gateway",'
        f'method="POST",path="{path}",status="{status}"}}'
    )


def lag(partition: int, worker: str = "worker-1") -> str:
    return (
        f'kafka_consumer_lag{{job="workers",instance="{worker}",group="orders-order",'
        f'topic="order.events.v1",partition="{partition}"}}'
    )


def stuck(partition: int, worker: str = "worker-1") -> str:
    return lag(partition, worker).replace("kafka_consumer_lag", "consumer_stuck_seconds")


def up(job: str, instance: str, component: str) -> str:
    return f'up{{job="{job}",instance="{instance}",component="{component}"}}'


DEAD = (
    'dead_letters_total{job="workers",instance="worker-1",topic="order.events.v1",'
    'reason="undecodable"}'
)
REFUSED = 'saga_compensation_failures_total{job="workers",instance="worker-1",step="payment"}'
GUARD = 'stock_guard_refusals_total{job="workers",instance="worker-1"}'
OLDEST = 'saga_oldest_pending_seconds{job="workers",instance="worker-1"}'
RECOVERING = 'worker_recovering{job="workers",instance="worker-1",service="analytics"}'
BREAKER = (
    'circuit_breaker_state{job="gateways",instance="gateway-1",target="http://127.0.0.1:6066"}'
)
REDIS = 'redis_available{job="gateways",instance="gateway-1"}'
AT_GATEWAYS = {"job": "gateways"}
AT_ORDERS = {"topic": "order.events.v1", "reason": "undecodable"}
AT_BREAKER = {"instance": "gateway-1", "target": "http://127.0.0.1:6066"}

BURNING = "of the requests to the gateways failed with 5xx; the service level allows 0.1%."
SMOULDERING = (
    "of the requests to the gateways failed with 5xx within the last day or three; the service "
    "level allows 0.1%."
)

CASES = (
    Case(
        "two of a hundred fail for an hour",
        "ErrorBudgetBurnFast",
        {requests("202"): "0+98x100", requests("503"): "0+2x100"},
        "80m",
        (Firing(AT_GATEWAYS, f"2% {BURNING}"),),
    ),
    Case(
        "one of a hundred fails for hours, too slow for the window of an hour",
        "ErrorBudgetBurnFast",
        {requests("202"): "0+99x400", requests("503"): "0+1x400"},
        "6h",
        (Firing(AT_GATEWAYS, f"1% {BURNING}"),),
        every="5m",
    ),
    Case(
        "twenty bad minutes after five good hours are over",
        "ErrorBudgetBurnFast",
        {requests("202"): "0+98x400", requests("503"): "0+0x300 2+2x19 40+0x80"},
        "5h35m",
        every="5m",
    ),
    Case(
        "it fails less often than the service level allows",
        "ErrorBudgetBurnFast",
        {requests("202"): "0+1999x100", requests("503"): "0+1x100"},
        "80m",
    ),
    Case(
        "only health checks are refused, and clients make mistakes",
        "ErrorBudgetBurnFast",
        {
            requests("202"): "0+98x100",
            requests("422"): "0+50x100",
            requests("503", "/readyz"): "0+60x100",
            requests("503", "/api/livez"): "0+60x100",
        },
        "80m",
    ),
    Case(
        "two of a thousand fail all day",
        "ErrorBudgetBurnSlow",
        {requests("202"): "0+998x1500", requests("503"): "0+2x1500"},
        "1d",
        (Firing(AT_GATEWAYS, f"0.2% {SMOULDERING}"),),
        every="10m",
    ),
    Case(
        "it fails less often than the service level allows, all day",
        "ErrorBudgetBurnSlow",
        {requests("202"): "0+1999x1500", requests("503"): "0+1x1500"},
        "1d",
        every="10m",
    ),
    Case(
        "the oldest order is ten minutes old",
        "SagasStuck",
        {OLDEST: "0+60x20"},
        "10m",
        (
            Firing(
                {"instance": "worker-1"},
                "The oldest order in the partitions of worker-1 that has not ended was placed "
                "10m 0s ago.",
            ),
        ),
    ),
    Case("orders wait, but end in time", "SagasStuck", {OLDEST: "300+0x20"}, "10m"),
    Case(
        "refunds are refused again and again",
        "CompensationFailing",
        {REFUSED: "0+1x40"},
        "30m",
        (
            Firing(
                {"step": "payment"},
                "Step payment was refused its compensation 15 times within 15 minutes: cancelled "
                "orders keep a customer's money.",
            ),
        ),
    ),
    Case(
        "the counter begins with a refused refund",
        "CompensationFailing",
        {REFUSED: "_x20 1+0x20"},
        "22m",
        (
            Firing(
                {"step": "payment"},
                "Step payment was refused its compensation 1 times within 15 minutes: cancelled "
                "orders keep a customer's money.",
            ),
        ),
    ),
    Case(
        "refunds were refused, but none for long",
        "CompensationFailing",
        {REFUSED: "5+0x40"},
        "30m",
    ),
    Case(
        "writes are refused",
        "OversellGuardHit",
        {GUARD: "0+3x30"},
        "20m",
        (
            Firing(
                {"job": "workers"},
                "The fence of the stock refused 30 writes within 10 minutes. Nothing was "
                "oversold; somebody held a lock for longer than it lasts.",
            ),
        ),
    ),
    Case("one write was refused once", "OversellGuardHit", {GUARD: "1+0x30"}, "20m"),
    Case(
        "a group gets further behind",
        "ConsumerLagGrowing",
        {lag(0): "0+100x15 1500+0x20", lag(1): "0+100x15 1500+0x20"},
        "20m",
        (
            Firing(
                {"group": "orders-order"},
                "orders-order has 3k records left to do, and they do not become fewer.",
            ),
        ),
    ),
    Case("a group that is behind catches up", "ConsumerLagGrowing", {lag(0): "9000-200x40"}, "20m"),
    Case("what is just being worked on", "ConsumerLagGrowing", {lag(0): "1000+0x40"}, "20m"),
    Case(
        "two workers tell of a partition while it moves",
        "ConsumerLagGrowing",
        {lag(0): "600+0x40", lag(0, "worker-2"): "600+0x40"},
        "20m",
    ),
    Case(
        "one of two partitions stands still",
        "ConsumerStuck",
        {stuck(0): "0+0x5 5+60x20", stuck(1): "0+0x40"},
        "10m",
        (
            Firing(
                {"instance": "worker-1", "group": "orders-order"},
                "A partition that orders-order of worker-1 holds has records to do, and for 4m 5s "
                "none was finished and none begun: they are held, because what they need is away, "
                "or nobody works on them.",
            ),
        ),
    ),
    Case(
        "a partition's batches take their time",
        "ConsumerStuck",
        {stuck(0): "0 60 90 0 60 90 0 60 90 0 60 120"},
        "11m",
    ),
    Case(
        "a stuck partition was given to another worker, where it moves",
        "ConsumerStuck",
        {stuck(0): "0+60x6 stale", stuck(0, "worker-2"): "_x8 0+0x30"},
        "10m",
    ),
    Case(
        "one of two partitions has lost its owner",
        "PartitionsUnowned",
        {lag(0): "0+0x60", lag(1): "0+0x20 stale"},
        "30m",
        (
            Firing(
                {"group": "orders-order"},
                "Partitions of the topics of orders-order without an owner: 1. Their orders wait.",
            ),
        ),
    ),
    Case(
        "the whole group is gone",
        "PartitionsUnowned",
        {lag(0): "0+0x20 stale", lag(1): "0+0x20 stale"},
        "30m",
        (
            Firing(
                {"group": "orders-order"},
                "Partitions of the topics of orders-order without an owner: 2. Their orders wait.",
            ),
        ),
    ),
    Case(
        "a partition moves to another worker",
        "PartitionsUnowned",
        {lag(0): "0+0x60", lag(1): "0+0x20 stale", lag(1, "worker-2"): "_x22 0+0x30"},
        "30m",
    ),
    Case(
        "records are put aside",
        "DeadLetters",
        {DEAD: "0+1x30"},
        "20m",
        (
            Firing(
                AT_ORDERS,
                "10 records of order.events.v1 went to its dead letters within 10 minutes, "
                "because of undecodable. They wait to be replayed or discarded.",
            ),
        ),
    ),
    Case(
        "the counter begins with a record that was put aside",
        "DeadLetters",
        {DEAD: "_x10 1+0x10"},
        "12m",
        (
            Firing(
                AT_ORDERS,
                "1 records of order.events.v1 went to its dead letters within 10 minutes, "
                "because of undecodable. They wait to be replayed or discarded.",
            ),
        ),
    ),
    Case("records were put aside an hour ago", "DeadLetters", {DEAD: "7+0x90"}, "80m"),
    Case(
        "a worker does not answer",
        "WorkerDown",
        {
            up("workers", "worker-1", "all"): "1+0x10 0+0x20",
            up("workers", "worker-2", "all"): "1+0x40",
        },
        "15m",
        (
            Firing(
                {"job": "workers", "instance": "worker-1", "component": "all"},
                "worker-1 does not answer Prometheus. Its partitions go to the others, where "
                "there are any.",
            ),
        ),
    ),
    Case(
        "the last container of a service has no address any more",
        "WorkerDown",
        {up("workers", "10.0.0.7:6066", "payment"): "1+0x10 stale"},
        "20m",
        (
            Firing(
                {"job": "workers", "component": "payment"},
                "payment does not answer Prometheus. Its partitions go to the others, where there "
                "are any.",
            ),
        ),
    ),
    Case(
        "a container was replaced by another",
        "WorkerDown",
        {
            up("workers", "10.0.0.7:6066", "payment"): "1+0x10 stale",
            up("workers", "10.0.0.8:6066", "payment"): "_x12 1+0x20",
        },
        "20m",
    ),
    Case(
        "a worker was started again",
        "WorkerDown",
        {up("workers", "worker-1", "all"): "1+0x10 0 1+0x20"},
        "12m",
    ),
    Case(
        "a gateway does not answer",
        "GatewayDown",
        {up("gateways", "gateway-1", "gateway"): "1+0x10 0+0x20"},
        "15m",
        (
            Firing(
                {"job": "gateways", "instance": "gateway-1", "component": "gateway"},
                "gateway-1 does not answer Prometheus. What no gateway answers is in no other "
                "figure.",
            ),
        ),
    ),
    Case(
        "the last gateway has no address any more",
        "GatewayDown",
        {up("gateways", "10.0.0.9:3000", "gateway"): "1+0x10 stale"},
        "20m",
        (
            Firing(
                {"job": "gateways", "component": "gateway"},
                "gateway does not answer Prometheus. What no gateway answers is in no other "
                "figure.",
            ),
        ),
    ),
    Case(
        "a worker is away, and the gateway answers",
        "GatewayDown",
        {
            up("gateways", "gateway-1", "gateway"): "1+0x30",
            up("workers", "worker-1", "all"): "0+0x30",
        },
        "15m",
    ),
    Case(
        "tables are read back for ten minutes",
        "RecoveryRunning",
        {RECOVERING: "1+0x20"},
        "10m",
        (
            Firing(
                {"instance": "worker-1", "service": "analytics"},
                "analytics of worker-1 still reads its tables back from Kafka: its part of the "
                "analytics answers 503 until then.",
            ),
        ),
    ),
    Case("tables are read back", "RecoveryRunning", {RECOVERING: "1+0x4 0+0x20"}, "10m"),
    Case(
        "a breaker is open",
        "CircuitBreakerOpen",
        {BREAKER: "0+0x5 2+0x10"},
        "10m",
        (
            Firing(
                AT_BREAKER,
                "gateway-1 has not had an answer of http://127.0.0.1:6066 for two minutes; its "
                "breaker is open.",
            ),
        ),
    ),
    Case(
        "nobody tries whether the worker is well again",
        "CircuitBreakerOpen",
        {BREAKER: "0+0x5 2+0x1 1+0x10"},
        "12m",
        (
            Firing(
                AT_BREAKER,
                "gateway-1 has not had an answer of http://127.0.0.1:6066 for two minutes; its "
                "breaker is half-open.",
            ),
        ),
    ),
    Case(
        "a breaker opens now and then, and closes",
        "CircuitBreakerOpen",
        {BREAKER: "0 2 0 0 2 0 0 2 0 0 2 0 0"},
        "10m",
    ),
    Case(
        "Redis is away",
        "RedisUnavailable",
        {REDIS: "1+0x5 0+0x10"},
        "8m",
        (
            Firing(
                {"instance": "gateway-1"},
                "Redis does not answer gateway-1: no stock can be locked, no idempotency key "
                "claimed, and posts are limited by each gateway for itself.",
            ),
        ),
    ),
    Case("Redis was away for a moment", "RedisUnavailable", {REDIS: "1+0x5 0 1+0x10"}, "6m"),
)
