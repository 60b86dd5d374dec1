"""What tests are made of: orders, events, clocks; each with every detail filled in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.events import (
    Event,
    EventData,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    Item,
    OrderCancelled,
    OrderConfirmed,
    OrderData,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    order_data,
    timestamp,
)
from app.saga import INVENTORY, PAYMENT, Saga
from app.topics import BY_EVENT

START = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)
PRICE = 255  # minor units

PAYMENT_FIRST = Saga(
    starts="OrderPlaced",
    steps=(PAYMENT, INVENTORY),
    completes="OrderConfirmed",
    aborts="OrderCancelled",
)
"""The other way round, to see that nothing but the table says which step comes first."""


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


def after(cause: Event, kind: str, at: str, *, of: OrderPlaced, reason: str | None = None) -> Event:
    """The event of this type that `cause` led to, for the order `of`."""
    source = BY_EVENT[kind].owner
    return cause.follow(data(kind, of, reason=reason), source=source, at=at)


def data(kind: str, of: OrderData, *, reason: str | None = None) -> EventData:
    """The data of an event of this type about the order `of`."""
    carried = order_data(of)
    made: dict[str, EventData] = {
        "OrderPlaced": OrderPlaced.model_construct(**carried, fingerprint=None),
        "InventoryReserved": InventoryReserved.model_construct(**carried),
        "InventoryRejected": InventoryRejected(
            order_id=of.order_id, reason=reason or "OUT_OF_STOCK", products=("apple",)
        ),
        "InventoryReleased": InventoryReleased(order_id=of.order_id),
        "PaymentProcessed": PaymentProcessed.model_construct(
            **carried, payment_id=f"pay-{of.order_id}"
        ),
        "PaymentFailed": PaymentFailed(
            order_id=of.order_id, amount=of.total / 100, reason=reason or "PAYMENT_FAILED"
        ),
        "PaymentRefunded": PaymentRefunded(order_id=of.order_id, amount=of.total / 100),
        "OrderConfirmed": OrderConfirmed.model_construct(**carried),
        "OrderCancelled": OrderCancelled.model_construct(
            **carried, reason=reason or "PAYMENT_FAILED"
        ),
    }
    return made[kind]
