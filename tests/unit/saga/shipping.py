"""A third step, all of it: its events, its topic, its entry in the table, its participant.

Nothing in `app` knows of it, and the other participants and the order service do not either.
"""

from collections.abc import Hashable
from enum import StrEnum

from app.events import Event, OrderData, OrderEventData, StepFailed, order_data
from app.saga import Saga, step
from app.topics import TopicSpec


class ShipmentBooked(OrderData):
    """A carrier will fetch the order's items."""

    parcel: str


class ShipmentFailed(StepFailed):
    """No carrier goes there."""


class ShipmentCancelled(OrderEventData):
    """No carrier will come."""


TOPIC = TopicSpec(
    "shipping.events.v1", "shipping", (ShipmentBooked, ShipmentFailed, ShipmentCancelled)
)

SHIPPING = step("shipping", done=ShipmentBooked, failed=ShipmentFailed, undone=ShipmentCancelled)


class Shipment(StrEnum):
    """What became of an order's shipment."""

    BOOKED = "BOOKED"
    REFUSED = "REFUSED"
    CALLED_OFF = "CALLED_OFF"
    VOID = "VOID"


class ShippingService:
    """The shipping service; it remembers what became of each order and when, and asks nobody."""

    name = SHIPPING.name

    def __init__(self, table: Saga) -> None:
        self.table = table
        self.hears = (table.trigger(self.name), *table.undo_triggers(self.name))
        self.shipments: dict[str, tuple[Shipment, str]] = {}
        self.booked_at: dict[str, str] = {}
        self.fails: set[str] = set()

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        order = event.order_id
        if event.type == self.table.trigger(self.name):
            result = Shipment.REFUSED if order in self.fails else Shipment.BOOKED
            kept, _ = self.shipments.setdefault(order, (result, now))
            if kept is Shipment.VOID:
                return ()
            return (self._outcome(event, kept, self.booked_at.setdefault(order, now)),)
        if event.type in self.table.undo_triggers(self.name):
            return self._undo(event, now)
        return ()

    def _undo(self, event: Event, now: str) -> tuple[Event, ...]:
        kept, at = self.shipments.get(event.order_id, (None, now))
        if kept is None and event.type == self.table.cancels:
            kept = Shipment.VOID
        elif kept is Shipment.BOOKED:
            kept, at = Shipment.CALLED_OFF, now
        if kept not in (Shipment.CALLED_OFF, Shipment.VOID):
            return ()
        self.shipments[event.order_id] = kept, at
        undone = ShipmentCancelled(order_id=event.order_id)
        return (event.follow(undone, source=self.name, at=at),)

    def _outcome(self, event: Event, kept: Shipment, at: str) -> Event:
        if kept is Shipment.REFUSED:
            refused = ShipmentFailed(order_id=event.order_id, reason="NO_CARRIER")
            return event.follow(refused, source=self.name, at=at)
        assert isinstance(event.data, OrderData)
        carried = order_data(event.data)
        booked = ShipmentBooked.model_construct(**carried, parcel=f"parcel-{event.order_id}")
        return event.follow(booked, source=self.name, at=at)

    # What the tests look at

    def crash(self, event: Event, now: str) -> None:
        """It does nothing outside of what it stores."""

    def keeps(self, order_id: str) -> bool:
        return self.shipments.get(order_id, (None, ""))[0] is Shipment.BOOKED

    def assert_ended(self, order_id: str, *, confirmed: bool) -> None:
        assert confirmed is self.keeps(order_id)

    def shape(self) -> Hashable:
        return tuple((order, kept) for order, (kept, _) in self.shipments.items())
