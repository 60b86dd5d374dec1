"""The events: typed data (pydantic) in an envelope (CloudEvents 1.0, Kafka binary mode).

On Kafka an event's value is its data alone, as JSON, and the envelope travels in headers, so any
Kafka tool shows plain JSON. An event's id is derived from what happened to which order, so a step
done again emits the same event again and whoever heard it before knows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.money import Money

SOURCE_PREFIX = "orderflow"
SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
MICROSECONDS_PER_MILLISECOND = 1000


class Wire(BaseModel):
    """Base of everything that crosses a wire: camelCase outside, immutable inside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Item(Wire):
    """One order line; `price` is a unit's, in minor units."""

    product_id: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=1_000_000)
    price: Money = Field(ge=0)


OrderId = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
"""A UUID in its canonical text."""


def _storable(at: datetime) -> datetime:
    try:
        utc = at.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999, UTC") from None
    return utc.replace(microsecond=utc.microsecond - utc.microsecond % MICROSECONDS_PER_MILLISECOND)


Instant = Annotated[AwareDatetime, AfterValidator(_storable)]
"""A time in UTC, cut to the millisecond: all that MongoDB keeps of it, so that an order that was
stored and read again is told in the same words as before."""


class EventData(Wire):
    """What every event says: which order it is about."""

    order_id: OrderId


class OrderData(EventData):
    """The order itself, carried along the saga so that each step has all it needs."""

    user_id: str = Field(min_length=1, max_length=128)
    items: tuple[Item, ...] = Field(min_length=1)
    total: Money = Field(ge=0)
    country: str | None = None
    placed_at: Instant


class OrderPlaced(OrderData):
    """A client's order was accepted."""

    fingerprint: str | None = None  # of the request's body, for idempotent posts


class CancellationRequested(EventData):
    """Somebody wants the order cancelled: its user, or the sweep for orders that take too long."""

    reason: str


class OrderCancelling(EventData):
    """The order service decided that the order is cancelled: every step undoes what it did, or
    promises never to begin."""

    reason: str


class StepFailed(EventData):
    """A step did not come about and left nothing behind; `reason` becomes the cancel reason."""

    reason: str


class InventoryReserved(OrderData):
    """Every item of the order is held."""


class InventoryRejected(StepFailed):
    """Nothing is held; `products` are those that were short."""

    products: tuple[str, ...] = ()


class InventoryReleased(EventData):
    """Nothing is held: what was, is available again; what was not, never will be."""


class PaymentProcessed(OrderData):
    """`total` was charged."""

    payment_id: str


class PaymentFailed(StepFailed):
    """Nothing was charged."""

    amount: Money
    detail: str | None = None


class PaymentRefunded(EventData):
    """Nothing is charged: what was, was given back; what was not, never will be."""

    amount: Money


class PaymentRefundFailed(EventData):
    """The provider refused to give back what was charged; it will be asked again."""

    amount: Money
    attempt: int = Field(ge=1)
    detail: str | None = None


class PaymentRefundRetried(EventData):
    """It is time to ask for a refund that was refused once more."""

    attempt: int = Field(ge=2)


class OrderConfirmed(OrderData):
    """The order's saga completed."""


class OrderCancelled(OrderData):
    """The order's saga was aborted; it holds no stock and no money."""

    reason: str


class NotificationSent(EventData):
    """Who ordered was told how the order ended; a message that was sent twice has the same id."""

    outcome: Literal["CONFIRMED", "CANCELLED"]
    channel: Literal["EMAIL", "LOG"]
    message_id: str
    at: Instant


EVENT_TYPES: Mapping[str, type[EventData]] = {
    model.__name__: model
    for model in (
        OrderPlaced,
        CancellationRequested,
        OrderCancelling,
        InventoryReserved,
        InventoryRejected,
        InventoryReleased,
        PaymentProcessed,
        PaymentFailed,
        PaymentRefunded,
        PaymentRefundFailed,
        PaymentRefundRetried,
        OrderConfirmed,
        OrderCancelled,
        NotificationSent,
    )
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event in its envelope.

    Attributes:
        id: uuid5 of the order's id and the event's type: the same whenever it is emitted again.
        time: when it happened, ISO 8601 UTC with microseconds.
        correlation_id: the same for all events of one order.
        causation_id: the id of the event that led to this one.
        traceparent: W3C trace context of the request that began it.
    """

    id: str
    source: str
    time: str
    correlation_id: str
    data: EventData
    causation_id: str | None = None
    traceparent: str | None = None

    TIME_FORMAT: ClassVar[str] = "%Y-%m-%dT%H:%M:%S.%fZ"

    @property
    def type(self) -> str:
        """The event's name, such as `OrderPlaced`."""
        return type(self.data).__name__

    @property
    def order_id(self) -> str:
        """The order it is about."""
        return self.data.order_id

    @classmethod
    def first(
        cls, data: EventData, *, source: str, at: str, traceparent: str | None = None
    ) -> Self:
        """The event that begins an order's saga; the order's id correlates all that follow."""
        return cls(
            id=event_id(data),
            source=f"{SOURCE_PREFIX}/{source}",
            time=at,
            correlation_id=data.order_id,
            data=data,
            traceparent=traceparent,
        )

    def follow(self, data: EventData, *, source: str, at: str) -> "Event":
        """The event that this one leads to."""
        return Event(
            id=event_id(data),
            source=f"{SOURCE_PREFIX}/{source}",
            time=at,
            correlation_id=self.correlation_id,
            data=data,
            causation_id=self.id,
            traceparent=self.traceparent,
        )


def event_id(data: EventData) -> str:
    """The id of the event with this data: an order has each event at most once.

    What can happen several times says which time it is: each reason to cancel is a request of its
    own, and so is each attempt at a refund. Each outcome has a notification of its own.
    """
    name = type(data).__name__
    match data:
        case CancellationRequested(reason=which):
            name = f"{name}:{which}"
        case PaymentRefundFailed(attempt=attempt) | PaymentRefundRetried(attempt=attempt):
            name = f"{name}:{attempt}"
        case NotificationSent(outcome=outcome):
            name = f"{name}:{outcome}"
    return str(uuid5(UUID(data.order_id), name))


def timestamp(at: datetime) -> str:
    """`at` as the text of an event's time."""
    return at.astimezone(UTC).strftime(Event.TIME_FORMAT)


def order_data(data: OrderData) -> dict[str, Any]:
    """The fields of the order in `data`, to build the next event that carries it."""
    return {name: getattr(data, name) for name in OrderData.model_fields}
