"""The inventory service's decisions: hold every item of an order or none, settle, release.

Stock is one record a product. Deciding is folded over the events of a batch: each decision sees the
stock that the ones before it left. What a crash left half done is mended by deciding again, because
a hold is keyed by its order: one already there is counted, not taken twice, and one that should not
be there is given back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.domain.decision import Decision
from app.events import (
    Event,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    OrderData,
    order_data,
)
from app.saga import Saga

STEP = "inventory"


class Rejection(StrEnum):
    """Why an order's items can't be held; cancel reasons of the contract."""

    OUT_OF_STOCK = "OUT_OF_STOCK"
    UNKNOWN_PRODUCT = "UNKNOWN_PRODUCT"


class ReservationStatus(StrEnum):
    """What became of an order's items."""

    RESERVED = "RESERVED"
    REJECTED = "REJECTED"
    SETTLED = "SETTLED"
    RELEASED = "RELEASED"
    VOID = "VOID"  # the order was cancelled before anything was held: nothing ever will be


@dataclass(frozen=True, slots=True)
class Stock:
    """A product's stock. `fence` is the highest fencing token that has written it."""

    product_id: str
    available: int
    holds: Mapping[str, int] = field(default_factory=dict)
    sold: int = 0
    fence: int = 0

    @property
    def reserved(self) -> int:
        """Units held by orders under way."""
        return sum(self.holds.values())

    def held(self, order_id: str) -> int:
        """Units this order holds."""
        return self.holds.get(order_id, 0)

    def hold(self, order_id: str, quantity: int) -> "Stock":
        """With exactly `quantity` held by the order; the same object if it is so already."""
        before = self.held(order_id)
        if before == quantity:
            return self
        holds = {k: v for k, v in self.holds.items() if k != order_id}
        if quantity:
            holds[order_id] = quantity
        available = self.available + before - quantity
        assert available >= 0, f"{self.product_id}: oversold to {available}"
        return replace(self, available=available, holds=holds)

    def settle(self, order_id: str) -> "Stock":
        """With what the order holds sold."""
        quantity = self.held(order_id)
        if not quantity:
            return self
        holds = {k: v for k, v in self.holds.items() if k != order_id}
        return replace(self, holds=holds, sold=self.sold + quantity)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The outcome kept for an order, so that an old event can't take stock again."""

    order_id: str
    status: ReservationStatus
    items: Mapping[str, int]
    at: str
    reason: str | None = None
    short: tuple[str, ...] = ()
    ended_at: str | None = None


@dataclass(frozen=True, slots=True)
class InventoryDecision(Decision[Reservation | None]):
    """A decision and the products it touched.

    A touched product is written even if its numbers did not change: the write carries the new
    fencing token, after which an older holder's late write is refused.
    """

    touched: Mapping[str, Stock] = field(default_factory=dict)


def quantities(order: OrderData) -> dict[str, int]:
    """Units of each product; a product named twice adds up."""
    wanted: dict[str, int] = {}
    for item in order.items:
        wanted[item.product_id] = wanted.get(item.product_id, 0) + item.quantity
    return wanted


def products(reservation: Reservation | None, event: Event, saga: Saga) -> frozenset[str]:
    """The products whose stock must be known, and locked, before `event` can be decided."""
    if reservation is None or reservation.status is ReservationStatus.VOID:
        if event.type == saga.trigger(STEP) and isinstance(event.data, OrderData):
            return frozenset(item.product_id for item in event.data.items)
        return frozenset()
    ends = (*saga.undo_triggers(STEP), saga.completes)
    if reservation.status is ReservationStatus.RESERVED and event.type in ends:
        return frozenset(reservation.items)
    return frozenset()


def decide(
    reservation: Reservation | None,
    stocks: Mapping[str, Stock],
    event: Event,
    saga: Saga,
    now: str,
    *,
    fails: bool = False,
) -> InventoryDecision:
    """The reservation and stock after `event`.

    Args:
        stocks: the stock of each of `products(...)` that exists.
        fails: the simulation says that this order's items are not to be had.
    """
    if event.type == saga.trigger(STEP) and isinstance(event.data, OrderData):
        touched: Mapping[str, Stock] = {}
        if reservation is None:
            reservation, touched = _reserve(event.data, stocks, now, fails=fails)
        elif reservation.status is ReservationStatus.VOID:
            # An attempt that a crash cut short may have left holds, from before the cancellation.
            return InventoryDecision(reservation, (), _give_back(event.data, stocks))
        return InventoryDecision(reservation, (_outcome(reservation, event, event.data),), touched)
    if reservation is None:
        if event.type != saga.cancels:
            return InventoryDecision(None)
        reservation = Reservation(
            event.order_id, ReservationStatus.VOID, items={}, at=now, ended_at=now
        )
    if event.type == saga.completes:
        return _settle(reservation, stocks, now)
    if event.type in saga.undo_triggers(STEP):
        return _release(reservation, stocks, event, now)
    return InventoryDecision(reservation)


def _reserve(
    order: OrderData, stocks: Mapping[str, Stock], now: str, *, fails: bool
) -> tuple[Reservation, dict[str, Stock]]:
    order_id, wanted = order.order_id, quantities(order)
    unknown = tuple(sorted(wanted.keys() - stocks.keys()))
    short = tuple(
        sorted(
            product
            for product, quantity in wanted.items()
            if product in stocks
            and stocks[product].available + stocks[product].held(order_id) < quantity
        )
    )
    if unknown or short or fails:
        reason = Rejection.UNKNOWN_PRODUCT if unknown else Rejection.OUT_OF_STOCK
        rejected = Reservation(
            order_id, ReservationStatus.REJECTED, wanted, now, reason, unknown or short, now
        )
        return rejected, _give_back(order, stocks)
    held = {product: stocks[product].hold(order_id, wanted[product]) for product in wanted}
    return Reservation(order_id, ReservationStatus.RESERVED, wanted, now), held


def _give_back(order: OrderData, stocks: Mapping[str, Stock]) -> dict[str, Stock]:
    """The order's products with nothing held by it."""
    return {p: stocks[p].hold(order.order_id, 0) for p in quantities(order) if p in stocks}


def _settle(reservation: Reservation, stocks: Mapping[str, Stock], now: str) -> InventoryDecision:
    if reservation.status is not ReservationStatus.RESERVED:
        return InventoryDecision(reservation)
    sold = {p: stocks[p].settle(reservation.order_id) for p in reservation.items}
    settled = replace(reservation, status=ReservationStatus.SETTLED, ended_at=now)
    return InventoryDecision(settled, (), sold)


def _release(
    reservation: Reservation, stocks: Mapping[str, Stock], event: Event, now: str
) -> InventoryDecision:
    freed: Mapping[str, Stock] = {}
    if reservation.status is ReservationStatus.RESERVED:
        freed = {p: stocks[p].hold(reservation.order_id, 0) for p in reservation.items}
        reservation = replace(reservation, status=ReservationStatus.RELEASED, ended_at=now)
    if reservation.status not in (ReservationStatus.RELEASED, ReservationStatus.VOID):
        return InventoryDecision(reservation)
    assert reservation.ended_at is not None
    data = InventoryReleased.model_construct(order_id=event.order_id)
    return InventoryDecision(
        reservation, (event.follow(data, source=STEP, at=reservation.ended_at),), freed
    )


def _outcome(reservation: Reservation, event: Event, order: OrderData) -> Event:
    """What was said of the reservation, the same after its end: it is history."""
    if reservation.status is ReservationStatus.REJECTED:
        assert reservation.reason is not None
        rejected = InventoryRejected.model_construct(
            order_id=order.order_id, reason=reservation.reason, products=reservation.short
        )
        return event.follow(rejected, source=STEP, at=reservation.at)
    reserved = InventoryReserved.model_construct(**order_data(order))
    return event.follow(reserved, source=STEP, at=reservation.at)
