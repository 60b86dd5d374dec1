"""The registry of topics: name, key, events, owner, partitions, retention, dead letters.

To follow a record, read its event's topic here, then the agent that consumes it.
"""

from dataclasses import dataclass

from app.events import (
    CancellationRequested,
    EventData,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    MilestoneNotified,
    MovieMilestoneReached,
    MovieViewed,
    MovieViewTracked,
    NotificationSent,
    OrderCancelled,
    OrderCancelling,
    OrderConfirmed,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentRefundRetried,
    UserActed,
)
from app.settings import Settings

GROUP_PREFIX = "orders-"
MS_PER_HOUR = 3_600_000
FOR_EVER = -1
CHANGELOG_SEGMENT_BYTES = 64 << 20
# A worker that was paused and has lost its partitions may still send what it had in hand: for as
# long, recovery sees both values and keeps the right one.
CHANGELOG_LAG_MS = 600_000
# Every write is asked for with `acks=all`, which means all replicas that are in sync: with three of
# them two have to be, so that a broker may be lost, and what was acknowledged is on another.
REPLICAS_FOR_TWO_IN_SYNC = 3
IN_SYNC_LEAST = 2


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic of the system; one service alone writes to it. Keys are raw bytes: in the topics of
    the saga the order's id, else that of the movie or the user (`EventData.key`)."""

    name: str
    owner: str
    events: tuple[type[EventData], ...]

    @property
    def dead_letters(self) -> str:
        """The topic that takes what can't be processed."""
        return f"{self.name}.dlq"


ORDER = TopicSpec(
    "order.events.v1",
    "order",
    (OrderPlaced, CancellationRequested, OrderCancelling, OrderConfirmed, OrderCancelled),
)
INVENTORY = TopicSpec(
    "inventory.events.v1", "inventory", (InventoryReserved, InventoryRejected, InventoryReleased)
)
PAYMENT = TopicSpec(
    "payment.events.v1",
    "payment",
    (PaymentProcessed, PaymentFailed, PaymentRefunded, PaymentRefundFailed, PaymentRefundRetried),
)
NOTIFICATION = TopicSpec(
    "notification.events.v1", "notification", (NotificationSent, MilestoneNotified)
)
# `MovieViewed` is published by the web views in the name of the movies service, as `OrderPlaced` is
# in that of the order service.
MOVIE_VIEWS = TopicSpec("movie.views.v1", "movies", (MovieViewed,))
USER_ACTIONS = TopicSpec("user.actions.v1", "movies", (UserActed,))
MOVIE_EVENTS = TopicSpec("movie.events.v1", "movies", (MovieViewTracked, MovieMilestoneReached))

SPECS: tuple[TopicSpec, ...] = (
    ORDER,
    INVENTORY,
    PAYMENT,
    NOTIFICATION,
    MOVIE_VIEWS,
    USER_ACTIONS,
    MOVIE_EVENTS,
)
BY_NAME = {spec.name: spec for spec in SPECS}
BY_EVENT = {event.__name__: spec for spec in SPECS for event in spec.events}


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table in RocksDB, partitioned as the topic it is folded from."""

    name: str
    service: str
    source: TopicSpec

    @property
    def changelog(self) -> str:
        """The compacted topic from which the table is recovered."""
        return f"{GROUP_PREFIX}{self.service}-{self.name}-changelog"


ORDER_WINDOWS = TableSpec("order-windows", "analytics", ORDER)
VIEW_WINDOWS = TableSpec("view-windows", "analytics", MOVIE_VIEWS)
ACTION_WINDOWS = TableSpec("action-windows", "analytics", USER_ACTIONS)
TABLES: tuple[TableSpec, ...] = (ORDER_WINDOWS, VIEW_WINDOWS, ACTION_WINDOWS)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What the broker must hold: a topic with so many partitions, kept so long."""

    name: str
    partitions: int
    replication: int
    retention_ms: int
    compacted: bool = False

    @property
    def config(self) -> dict[str, str]:
        """The topic's own settings on the broker."""
        kept = {"retention.ms": str(self.retention_ms)}
        if not self.compacted:
            return {**kept, "cleanup.policy": "delete"}
        # Of each key the newest is kept. What is older goes once its segment is full: small ones,
        # so that recovery has little more to read than what is in the table.
        return {
            **kept,
            "cleanup.policy": "compact",
            "segment.bytes": str(CHANGELOG_SEGMENT_BYTES),
            "min.compaction.lag.ms": str(CHANGELOG_LAG_MS),
        }

    @property
    def made_with(self) -> dict[str, str]:
        """The settings of a new topic: `config`, and what is the operator's from then on."""
        if self.replication < REPLICAS_FOR_TWO_IN_SYNC:
            return self.config
        return {**self.config, "min.insync.replicas": str(IN_SYNC_LEAST)}


def plans(settings: Settings) -> tuple[TopicPlan, ...]:
    """Every topic that must exist, dead-letter topics included.

    A dead-letter topic has its origin's partitions, so that a record keeps its partition.
    """

    def plan(name: str, hours: int) -> TopicPlan:
        return TopicPlan(
            name, settings.topic_partitions, settings.topic_replication, hours * MS_PER_HOUR
        )

    topics = tuple(
        plan(name, hours)
        for spec in SPECS
        for name, hours in (
            (spec.name, settings.topic_retention_hours),
            (spec.dead_letters, settings.dead_letter_retention_hours),
        )
    )
    changelogs = tuple(
        TopicPlan(
            table.changelog,
            settings.topic_partitions,
            settings.topic_replication,
            FOR_EVER,
            compacted=True,
        )
        for table in TABLES
    )
    return topics + changelogs
