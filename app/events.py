"""The events: typed data (pydantic) in an envelope (CloudEvents 1.0, Kafka binary mode).

On Kafka an event's value is its data alone, as JSON, and the envelope travels in headers, so any
Kafka tool shows plain JSON. An event's id is derived from what happened to which order, or from
which view of a movie, so a step done again emits the same event again and whoever heard it before
knows it.
"""

from abc import abstractmethod
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


UuidText = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
"""A UUID in its canonical text."""
OrderId = UuidText
ViewId = UuidText
MovieId = Annotated[str, Field(min_length=1, max_length=64)]
UserId = Annotated[str, Field(min_length=1, max_length=128)]


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
    """What every event says: what it is about, and where it comes from."""

    @property
    @abstractmethod
    def key(self) -> str:
        """What its record is keyed by: events of the same key keep their order."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """The UUID of what began it all, an order or a view: ids of events derive from it, and it
        correlates them."""


class OrderEventData(EventData):
    """An event of an order's saga."""

    order_id: OrderId

    @property
    def key(self) -> str:
        """The order's id."""
        return self.order_id

    @property
    def origin(self) -> str:
        """The order's id."""
        return self.order_id


class OrderData(OrderEventData):
    """The order itself, carried along the saga so that each step has all it needs."""

    user_id: UserId
    items: tuple[Item, ...] = Field(min_length=1)
    total: Money = Field(ge=0)
    country: str | None = None
    placed_at: Instant


class OrderPlaced(OrderData):
    """A client's order was accepted."""

    fingerprint: str | None = None  # of the request's body, for idempotent posts


class CancellationRequested(OrderEventData):
    """Somebody wants the order cancelled: its user, or the sweep for orders that take too long."""

    reason: str


class OrderCancelling(OrderEventData):
    """The order service decided that the order is cancelled: every step undoes what it did, or
    promises never to begin."""

    reason: str


class StepFailed(OrderEventData):
    """A step did not come about and left nothing behind; `reason` becomes the cancel reason."""

    reason: str


class InventoryReserved(OrderData):
    """Every item of the order is held."""


class InventoryRejected(StepFailed):
    """Nothing is held; `products` are those that were short."""

    products: tuple[str, ...] = ()


class InventoryReleased(OrderEventData):
    """Nothing is held: what was, is available again; what was not, never will be."""


class PaymentProcessed(OrderData):
    """`total` was charged."""

    payment_id: str


class PaymentFailed(StepFailed):
    """Nothing was charged."""

    amount: Money
    detail: str | None = None


class PaymentRefunded(OrderEventData):
    """Nothing is charged: what was, was given back; what was not, never will be."""

    amount: Money


class PaymentRefundFailed(OrderEventData):
    """The provider refused to give back what was charged; it will be asked again."""

    amount: Money
    attempt: int = Field(ge=1)
    detail: str | None = None


class PaymentRefundRetried(OrderEventData):
    """It is time to ask for a refund that was refused once more."""

    attempt: int = Field(ge=2)


class OrderConfirmed(OrderData):
    """The order's saga completed."""


class OrderCancelled(OrderData):
    """The order's saga was aborted; it holds no stock and no money."""

    reason: str


class NotificationSent(OrderEventData):
    """Who ordered was told how the order ended; a message that was sent twice has the same id."""

    outcome: Literal["CONFIRMED", "CANCELLED"]
    channel: Literal["EMAIL", "LOG"]
    message_id: str
    at: Instant


class ViewEventData(EventData):
    """What a view of a movie led to."""

    view_id: ViewId

    @property
    def origin(self) -> str:
        """The view's id."""
        return self.view_id


class MovieEventData(ViewEventData):
    """An event of a movie."""

    movie_id: MovieId

    @property
    def key(self) -> str:
        """The movie's id."""
        return self.movie_id


class MovieViewed(MovieEventData):
    """A client said that a user viewed a movie."""

    user_id: UserId
    viewed_at: Instant


class UserActed(ViewEventData):
    """What a user did."""

    user_id: UserId
    action: Literal["VIEWED_MOVIE"]
    movie_id: MovieId
    at: Instant

    @property
    def key(self) -> str:
        """The user's id."""
        return self.user_id


class MovieViewTracked(MovieEventData):
    """The view was counted; it is the movie's `number`th."""

    user_id: UserId
    viewed_at: Instant
    number: int = Field(ge=1)


class MovieMilestoneReached(MovieEventData):
    """The movie was viewed `milestone` times: with this view."""

    milestone: int = Field(ge=1)
    viewed_at: Instant


class MilestoneNotified(MovieEventData):
    """Who is told of milestones was told of this one."""

    milestone: int = Field(ge=1)
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
        MovieViewed,
        UserActed,
        MovieViewTracked,
        MovieMilestoneReached,
        MilestoneNotified,
    )
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event in its envelope.

    Attributes:
        id: uuid5 of the order's or view's id and the event's type: the same whenever it is emitted
            again.
        time: when it happened, ISO 8601 UTC with microseconds.
        correlation_id: the same for all events of one order, or of one view.
        causation_id: the id of the event that led to this one.
        traceparent: W3C trace context: of the request that began it, or, where spans are made, of
            the span that sent it. Not part of what the event says: two that differ in it alone
            are the same.
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
    def key(self) -> str:
        """What its record is keyed by."""
        return self.data.key

    @property
    def order_id(self) -> str:
        """The order it is about; for those who hear of orders alone."""
        assert isinstance(self.data, OrderEventData)
        return self.data.order_id

    @classmethod
    def first(
        cls, data: EventData, *, source: str, at: str, traceparent: str | None = None
    ) -> Self:
        """The event that begins an order's saga, or a view's: its id correlates all that follow."""
        return cls(
            id=event_id(data),
            source=f"{SOURCE_PREFIX}/{source}",
            time=at,
            correlation_id=data.origin,
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
    """The id of the event with this data: an order has each event at most once, and so has a view.

    What can happen several times says which time it is: each reason to cancel is a request of its
    own, and so is each attempt at a refund. Each outcome has a notification of its own, and each
    milestone its events.
    """
    name = type(data).__name__
    match data:
        case CancellationRequested(reason=which):
            name = f"{name}:{which}"
        case PaymentRefundFailed(attempt=attempt) | PaymentRefundRetried(attempt=attempt):
            name = f"{name}:{attempt}"
        case NotificationSent(outcome=outcome):
            name = f"{name}:{outcome}"
        case MovieMilestoneReached(milestone=milestone) | MilestoneNotified(milestone=milestone):
            name = f"{name}:{milestone}"
    return str(uuid5(UUID(data.origin), name))


def timestamp(at: datetime) -> str:
    """`at` as the text of an event's time."""
    return at.astimezone(UTC).strftime(Event.TIME_FORMAT)


def order_data(data: OrderData) -> dict[str, Any]:
    """The fields of the order in `data`, to build the next event that carries it."""
    return {name: getattr(data, name) for name in OrderData.model_fields}
