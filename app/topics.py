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
)
from app.settings import Settings

MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic of the system. Keys are order ids as raw bytes; one service alone writes to it."""

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
NOTIFICATION = TopicSpec("notification.events.v1", "notification", (NotificationSent,))

SPECS: tuple[TopicSpec, ...] = (ORDER, INVENTORY, PAYMENT, NOTIFICATION)
BY_NAME = {spec.name: spec for spec in SPECS}
BY_EVENT = {event.__name__: spec for spec in SPECS for event in spec.events}


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What the broker must hold: a topic with so many partitions, kept so long."""

    name: str
    partitions: int
    replication: int
    retention_ms: int


def plans(settings: Settings) -> tuple[TopicPlan, ...]:
    """Every topic that must exist, dead-letter topics included.

    A dead-letter topic has its origin's partitions, so that a record keeps its partition.
    """

    def plan(name: str, hours: int) -> TopicPlan:
        return TopicPlan(
            name, settings.topic_partitions, settings.topic_replication, hours * MS_PER_HOUR
        )

    return tuple(
        plan(name, hours)
        for spec in SPECS
        for name, hours in (
            (spec.name, settings.topic_retention_hours),
            (spec.dead_letters, settings.dead_letter_retention_hours),
        )
    )
