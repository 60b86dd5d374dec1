"""What tests are made of: orders, events, clocks; each with every detail filled in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.events import (
    EVENT_TYPES,
    CancellationRequested,
    Event,
    EventData,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    Item,
    MilestoneNotified,
    MovieMilestoneReached,
    MovieViewed,
    MovieViewTracked,
    NotificationSent,
    OrderCancelled,
    OrderCancelling,
    OrderConfirmed,
    OrderData,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentRefundRetried,
    UserActed,
    order_data,
    timestamp,
)
from app.topics import BY_EVENT

START = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)
PRICE = 255  # minor units
BY_USER, TIMEOUT = "CANCELLED_BY_USER", "TIMEOUT"


class TickingClock:
    """Each time it is asked, it is a second later: an answer found anew shows by its time."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def text(self) -> str:
        """The next time as an event's time."""
        return timestamp(self())


def order_id(number: int) -> str:
    """The id of the order of this number."""
    return str(UUID(int=number))


def items(wanted: Mapping[str, int] | Sequence[tuple[str, int]]) -> tuple[Item, ...]:
    """An order's lines; pairs may name a product twice."""
    pairs = wanted.items() if isinstance(wanted, Mapping) else wanted
    return tuple(Item(product_id=p, quantity=q, price=PRICE / 100) for p, q in pairs)


def order(
    wanted: Mapping[str, int] | Sequence[tuple[str, int]] = (("apple", 1),), *, number: int = 1
) -> OrderPlaced:
    """An order of so many of each product."""
    lines = items(wanted)
    return OrderPlaced(
        order_id=order_id(number),
        user_id=f"user-{number}",
        items=lines,
        total=sum(line.quantity * line.price for line in lines) / 100,
        country="United Kingdom",
        placed_at=START,
    )


def placed(
    wanted: Mapping[str, int] | Sequence[tuple[str, int]] = (("apple", 1),),
    *,
    number: int = 1,
    at: str | None = None,
) -> Event:
    """The event that an order was placed."""
    return Event.first(order(wanted, number=number), source="web", at=at or timestamp(START))


def after(
    cause: Event,
    kind: str,
    at: str,
    *,
    of: OrderPlaced,
    reason: str | None = None,
    attempt: int | None = None,
) -> Event:
    """The event of this type that `cause` led to, for the order `of`."""
    source = BY_EVENT[kind].owner
    return cause.follow(data(kind, of, reason=reason, attempt=attempt), source=source, at=at)


def data(
    kind: str, of: OrderData, *, reason: str | None = None, attempt: int | None = None
) -> EventData:
    """The data of an event of this type about the order `of`."""
    carried = order_data(of)
    about, amount = of.order_id, of.total / 100
    made: dict[str, EventData] = {
        "OrderPlaced": OrderPlaced.model_construct(**carried, fingerprint=None),
        "CancellationRequested": CancellationRequested(order_id=about, reason=reason or BY_USER),
        "OrderCancelling": OrderCancelling(order_id=about, reason=reason or BY_USER),
        "InventoryReserved": InventoryReserved.model_construct(**carried),
        "InventoryRejected": InventoryRejected(
            order_id=about, reason=reason or "OUT_OF_STOCK", products=("apple",)
        ),
        "InventoryReleased": InventoryReleased(order_id=about),
        "PaymentProcessed": PaymentProcessed.model_construct(**carried, payment_id=f"pay-{about}"),
        "PaymentFailed": PaymentFailed(
            order_id=about, amount=amount, reason=reason or "PAYMENT_FAILED"
        ),
        "PaymentRefunded": PaymentRefunded(order_id=about, amount=amount),
        "PaymentRefundFailed": PaymentRefundFailed(
            order_id=about, amount=amount, attempt=attempt or 1
        ),
        "PaymentRefundRetried": PaymentRefundRetried(order_id=about, attempt=attempt or 2),
        "OrderConfirmed": OrderConfirmed.model_construct(**carried),
        "OrderCancelled": OrderCancelled.model_construct(
            **carried, reason=reason or "PAYMENT_FAILED"
        ),
    }
    if kind == "NotificationSent":
        return NotificationSent(
            order_id=about,
            outcome="CONFIRMED",
            channel="LOG",
            message_id=f"<{about}.confirmed@orderflow.invalid>",
            at=START,
        )
    # A further step's needs nothing but the order, or its id and why it failed.
    return made.get(kind) or EVENT_TYPES[kind].model_construct(
        **carried, reason=reason or kind.upper()
    )


def view_id(number: int) -> str:
    """The id of the view of this number."""
    return str(UUID(int=number, version=5))


def viewed(
    movie: str = "alien", *, number: int = 1, user: str = "alice", at: datetime = START
) -> Event:
    """The event that a user viewed a movie."""
    data = MovieViewed(view_id=view_id(number), movie_id=movie, user_id=user, viewed_at=at)
    return Event.first(data, source="movies", at=timestamp(at))


def milestone(movie: str = "alien", views: int = 10) -> Event:
    """The event that a movie was viewed so often, with the view of that number."""
    return viewed(movie, number=views).follow(
        view_data("MovieMilestoneReached", views, movie=movie), source="movies", at=timestamp(START)
    )


def view_data(kind: str, number: int, *, movie: str = "alien", user: str = "alice") -> EventData:
    """The data of an event of this type about the view of this number."""
    about = {"view_id": view_id(number), "movie_id": movie}
    sent = {"channel": "LOG", "message_id": "<1@orderflow.invalid>", "at": START}
    model, more = {
        "MovieViewed": (MovieViewed, {"user_id": user, "viewed_at": START}),
        "UserActed": (UserActed, {"user_id": user, "action": "VIEWED_MOVIE", "at": START}),
        "MovieViewTracked": (
            MovieViewTracked,
            {"user_id": user, "viewed_at": START, "number": number},
        ),
        "MovieMilestoneReached": (
            MovieMilestoneReached,
            {"milestone": number, "viewed_at": START},
        ),
        "MilestoneNotified": (MilestoneNotified, {"milestone": number, **sent}),
    }[kind]
    made: EventData = model.model_validate(about | more)
    return made
