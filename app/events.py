"""The events: typed data (pydantic) in an envelope (CloudEvents 1.0, Kafka binary mode).

On Kafka an event's value is its data alone, as JSON, and the envelope travels in headers, so any
Kafka tool shows plain JSON. An event's id is derived from what happened to which order, so a step
done again emits the same event again and whoever heard it before knows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self
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


class InventoryReserved(OrderData):
    """Every item of the order is held."""


class InventoryRejected(EventData):
    """Nothing is held; `reason` is a cancel reason, `products` those that were short."""

    reason: str
    products: tuple[str, ...] = ()


class InventoryReleased(EventData):
    """What was held is available again."""


class PaymentProcessed(OrderData):
    """`total` was charged."""

    payment_id: str


class PaymentFailed(EventData):
    """Nothing was charged."""

    amount: Money
    reason: str
    detail: str | None = None


class PaymentRefunded(EventData):
    """What was charged was given back."""

    amount: Money


class OrderConfirmed(OrderData):
    """The order's saga completed."""


class OrderCancelled(OrderData):
    """The order's saga was aborted; it holds no stock and no money."""

    reason: str


EVENT_TYPES: Mapping[str, type[EventData]] = {
    model.__name__: model
    for model in (
        OrderPlaced,
        InventoryReserved,
        InventoryRejected,
        InventoryReleased,
        PaymentProcessed,
        PaymentFailed,
        PaymentRefunded,
        OrderConfirmed,
        OrderCancelled,
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
    """The id of the event with this data: an order has each event at most once."""
    return str(uuid5(UUID(data.order_id), type(data).__name__))


def timestamp(at: datetime) -> str:
    """`at` as the text of an event's time."""
    return at.astimezone(UTC).strftime(Event.TIME_FORMAT)


def order_data(data: OrderData) -> dict[str, Any]:
    """The fields of the order in `data`, to build the next event that carries it."""
    return {name: getattr(data, name) for name in OrderData.model_fields}
