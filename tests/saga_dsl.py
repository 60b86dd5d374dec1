"""Sagas told as sagas: given, expect, given a failure, expect it compensated, the end.

    saga(INVENTORY_FIRST).with_stock(apple=5).given(order({"apple": 2}))
        .expect("InventoryReserved")
        .given_failure("PaymentFailed")
        .expect_compensated("InventoryReleased")
        .ends("OrderCancelled", reason="PAYMENT_FAILED")

Behind it the pure decisions of order, inventory and payment talk to each other over topics that are
lists. Each event is heard one at a time, and the clock moves on with each, so whatever is decided
anew, rather than remembered, shows by its time.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from app.domain import inventory, payment
from app.domain import order as orders
from app.events import Event, EventData, OrderPlaced
from app.saga import Saga
from app.topics import BY_EVENT, SPECS
from tests.builders import TickingClock

TOPICS = tuple(spec.name for spec in SPECS)
DECLINED = "the card was declined"


class Participant(Protocol):
    """One service: what it listens to, and what it says to an event."""

    name: str
    topics: tuple[str, ...]

    def hear(self, event: Event, now: str) -> tuple[Event, ...]: ...


def topics_of(*events: str) -> tuple[str, ...]:
    """The topics of these events."""
    return tuple(dict.fromkeys(BY_EVENT[event].name for event in events))


class OrderService:
    """The order service's decisions, with its orders in a dict."""

    name = "order"

    def __init__(self, table: Saga) -> None:
        self.table = table
        self.topics = topics_of(*table.events())
        self.orders: dict[str, orders.Order] = {}

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        decision = orders.decide(self.orders.get(event.order_id), event, self.table, now)
        if decision.state is not None:
            self.orders[event.order_id] = decision.state
        return decision.events


class InventoryService:
    """The inventory service's decisions, with shelf and reservations in dicts."""

    name = "inventory"

    def __init__(self, table: Saga) -> None:
        self.table = table
        self.topics = topics_of(
            table.trigger(self.name), *table.undo_triggers(self.name), table.completes
        )
        self.initial: dict[str, int] = {}
        self.shelf: dict[str, inventory.Stock] = {}
        self.reservations: dict[str, inventory.Reservation] = {}
        self.fails: set[str] = set()

    def stock(self, levels: Mapping[str, int]) -> None:
        self.initial.update(levels)
        self.shelf.update({p: inventory.Stock(p, units) for p, units in levels.items()})

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        known = self.reservations.get(event.order_id)
        needed = inventory.products(known, event, self.table)
        stocks = {p: self.shelf[p] for p in needed if p in self.shelf}
        decision = inventory.decide(
            known, stocks, event, self.table, now, fails=event.order_id in self.fails
        )
        assert decision.touched.keys() <= needed
        self.shelf.update(decision.touched)
        if decision.state is not None:
            self.reservations[event.order_id] = decision.state
        self.check()
        return decision.events

    def check(self) -> None:
        """No unit came from nowhere or was sold twice."""
        for product, stock in self.shelf.items():
            assert stock.available >= 0
            assert self.initial[product] == stock.available + stock.reserved + stock.sold


class PaymentService:
    """The payment service's decisions, and a provider that keeps books."""

    name = "payment"

    def __init__(self, table: Saga) -> None:
        self.table = table
        self.topics = topics_of(table.trigger(self.name), *table.undo_triggers(self.name))
        self.payments: dict[str, payment.Payment] = {}
        self.fails: set[str] = set()
        self.charges: Counter[str] = Counter()
        self.refunds: Counter[str] = Counter()

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        known = self.payments.get(event.order_id)
        asked = payment.request(known, event, self.table)
        result = None if asked is None else self._ask(asked)
        decision = payment.decide(known, event, result, self.table, now)
        if decision.state is not None:
            self.payments[event.order_id] = decision.state
        return decision.events

    def _ask(self, request: payment.Request) -> payment.Result:
        if request.action is payment.Action.REFUND:
            self.refunds[request.order_id] += 1
        elif request.order_id in self.fails:
            return payment.Result(ok=False, detail=DECLINED)
        else:
            self.charges[request.order_id] += 1
        return payment.Result(ok=True, payment_id=f"pay-{request.order_id}")


@dataclass
class Choreography:
    """Participants, topics and how far each participant has read each topic."""

    table: Saga
    clock: TickingClock = field(default_factory=TickingClock)
    topics: dict[str, list[Event]] = field(default_factory=lambda: {name: [] for name in TOPICS})
    positions: dict[tuple[str, str], int] = field(default_factory=dict)
    said: dict[str, Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = OrderService(self.table)
        self.inventory = InventoryService(self.table)
        self.payment = PaymentService(self.table)
        self.participants: tuple[Participant, ...] = (self.order, self.inventory, self.payment)
        self.positions = {(p.name, topic): 0 for p in self.participants for topic in p.topics}

    def publish(self, event: Event) -> None:
        """Append the event to its topic. Said before, it must be the same to the last detail."""
        assert self.said.setdefault(event.id, event) == event
        self.topics[BY_EVENT[event.type].name].append(event)

    def waiting(self) -> list[tuple[str, str]]:
        """Who has something to read, and where."""
        return [
            (name, topic)
            for (name, topic), position in self.positions.items()
            if position < len(self.topics[topic])
        ]

    def deliver(self, name: str, topic: str) -> None:
        """One event of the topic to one participant; what it says is published."""
        event = self.topics[topic][self.positions[name, topic]]
        self.positions[name, topic] += 1
        for said in self.tell(name, event):
            self.publish(said)

    def tell(self, name: str, event: Event) -> tuple[Event, ...]:
        """One event to one participant; what it says is returned."""
        participant = next(p for p in self.participants if p.name == name)
        return participant.hear(event, self.clock.text())

    def rewind(self, name: str, topic: str, position: int) -> None:
        """The participant will hear again what it heard from `position` on, as after a crash."""
        self.positions[name, topic] = min(position, self.positions[name, topic])

    def run(self) -> None:
        """Deliver until everybody has heard everything."""
        while waiting := self.waiting():
            self.deliver(*waiting[0])

    def assert_settled(self, order_id: str) -> None:
        """The order's end, its stock and its money tell the same story."""
        order = self.order.orders[order_id]
        reservation = self.inventory.reservations.get(order_id)
        paid = self.payment.payments.get(order_id)
        held = sum(stock.held(order_id) for stock in self.inventory.shelf.values())
        assert held == 0
        assert self.payment.charges[order_id] <= 1
        assert self.payment.refunds[order_id] <= 1
        kept = self.payment.charges[order_id] - self.payment.refunds[order_id]
        match order.status:
            case orders.OrderStatus.CONFIRMED:
                assert reservation is not None
                assert reservation.status is inventory.ReservationStatus.SETTLED
                assert paid is not None
                assert paid.status is payment.PaymentStatus.CHARGED
                assert kept == 1
            case orders.OrderStatus.CANCELLED:
                assert reservation is None or reservation.status in {
                    inventory.ReservationStatus.REJECTED,
                    inventory.ReservationStatus.RELEASED,
                }
                assert paid is None or paid.status in {
                    payment.PaymentStatus.FAILED,
                    payment.PaymentStatus.REFUNDED,
                }
                assert kept == 0
            case status:
                raise AssertionError(f"the order has not ended: {status}")


class Told:
    """A saga of one order, told step by step. Each method but the last returns the story so far."""

    def __init__(self, table: Saga) -> None:
        self.world = Choreography(table)
        self._events: list[Event] = []
        self._late: tuple[str, str] | None = None
        self._duplicates = False

    def with_stock(self, **levels: int) -> Self:
        """So many units of each product are available; others do not exist."""
        self.world.inventory.stock(levels)
        return self

    def with_duplicates(self) -> Self:
        """Whatever is heard, is heard again at once, and all that was heard before it as well."""
        self._duplicates = True
        return self

    def hearing_late(self, participant: str, topic: str) -> Self:
        """The participant reads this topic only when there is nothing else left to do."""
        self._late = participant, topic
        return self

    def given(self, placed: OrderPlaced) -> Self:
        """The order was placed."""
        event = Event.first(placed, source="web", at=self.world.clock.text())
        self.world.publish(event)
        self._events.append(event)
        return self

    def expect(self, *events: str) -> Self:
        """These events are said next, in this order, and no other between them."""
        for name in events:
            assert name == self._next().type
        return self

    def given_failure(self, event: str) -> Self:
        """The participant whose failure this is fails, and says so next."""
        step = next(step for step in self.world.table.steps if step.failed == event)
        fails = {"inventory": self.world.inventory.fails, "payment": self.world.payment.fails}
        fails[step.name].add(self._order_id)
        return self.expect(event)

    def expect_compensated(self, *events: str) -> Self:
        """These compensations are said next; each undoes a step that was done before."""
        for name in events:
            step = next(step for step in self.world.table.steps if step.undone == name)
            assert step.done in {event.type for event in self._events}
            self.expect(name)
        return self

    def ends(self, event: str, *, reason: str | None = None) -> "Told":
        """The order ends so, once; nothing else is said, nothing is held, and no money is owed."""
        end = self._next()
        assert event == end.type
        assert reason == getattr(end.data, "reason", None)
        assert self.world.order.orders[self._order_id].ended_by == end.causation_id
        self._drain()
        assert [e.type for e in self._events] == [e.type for e in self.world.said.values()]
        self.world.assert_settled(self._order_id)
        return self

    def said(self, event: str) -> EventData:
        """The data of an event that was said."""
        return next(e.data for e in self.world.said.values() if e.type == event)

    @property
    def stock(self) -> dict[str, tuple[int, int, int]]:
        """Available, reserved and sold units of each product."""
        return {
            product: (stock.available, stock.reserved, stock.sold)
            for product, stock in self.world.inventory.shelf.items()
        }

    @property
    def events(self) -> list[Event]:
        """What was said, in order."""
        return self._events

    @property
    def _order_id(self) -> str:
        return self._events[0].order_id

    def _next(self) -> Event:
        """The next event that was not told yet."""
        while len(self.world.said) <= len(self._events):
            assert self._advance(), f"silence after {[e.type for e in self._events]}"
        event = list(self.world.said.values())[len(self._events)]
        self._events.append(event)
        return event

    def _drain(self) -> None:
        while self._advance():
            pass

    def _advance(self) -> bool:
        waiting = self.world.waiting()
        if not waiting:
            return False
        punctual = [entry for entry in waiting if entry != self._late]
        name, topic = (punctual or waiting)[0]
        position = self.world.positions[name, topic]
        self.world.deliver(name, topic)
        if self._duplicates:
            for event in self.world.topics[topic][: position + 1]:
                for again in self.world.tell(name, event):
                    assert self.world.said[again.id] == again
        return True


def saga(table: Saga) -> Told:
    """The beginning of a story."""
    return Told(table)
