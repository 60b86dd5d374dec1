"""Participants that talk to each other over topics that are lists.

Each event is heard one at a time, and the clock moves on with each, so whatever is decided anew,
rather than remembered, shows by its time.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from operator import methodcaller

from app.domain.order import OrderStatus
from app.domain.payment import PaymentStatus
from app.events import CancellationRequested, Event, EventData, PaymentRefundRetried
from app.saga import Saga
from app.topics import SPECS, TopicSpec
from tests.builders import TickingClock
from tests.unit.saga.participants import (
    InventoryService,
    OrderService,
    Participant,
    PaymentService,
    StepParticipant,
    twin,
)

Reading = tuple[str, str]  # who reads, and which topic
Move = Callable[["Choreography"], object]


class Choreography:
    """Participants, topics and how far each participant has read each topic.

    Args:
        more: participants of further steps of the table.
        specs: their topics.
    """

    def __init__(
        self,
        table: Saga,
        more: Sequence[StepParticipant] = (),
        specs: Sequence[TopicSpec] = (),
    ) -> None:
        self.table = table
        self.clock = TickingClock()
        self.order = OrderService(table)
        self.inventory = InventoryService(table)
        self.payment = PaymentService(table)
        self.more = tuple(more)
        self.topics: dict[str, tuple[Event, ...]] = {s.name: () for s in (*SPECS, *specs)}
        self.topic_of = {e.__name__: s.name for s in (*SPECS, *specs) for e in s.events}
        self.hears = {p.name: frozenset(p.hears) for p in self.participants}
        self.positions: dict[Reading, int] = {
            (p.name, topic): 0 for p in self.participants for topic in self.reads(p.name)
        }
        self.said: dict[str, Event] = {}
        self.crashed: set[str] = set()

    @property
    def steps(self) -> tuple[StepParticipant, ...]:
        """The participants that have a step."""
        return (self.inventory, self.payment, *self.more)

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Everybody."""
        return (self.order, *self.steps)

    def participant(self, name: str) -> Participant:
        """The participant of this name."""
        return next(p for p in self.participants if p.name == name)

    def reads(self, name: str) -> tuple[str, ...]:
        """The topics of the events that a participant acts on."""
        return tuple(dict.fromkeys(self.topic_of[e] for e in self.participant(name).hears))

    # What comes from outside: somebody asks for something, perhaps again, perhaps in vain

    def ask(self, data: EventData, source: str = "web") -> Event:
        """Somebody publishes this. Asked for again it is the same event, at another time."""
        event = Event.first(data, source=source, at=self.clock.text())
        self.topics[self.topic_of[event.type]] += (event,)
        return self.said.setdefault(event.id, event)

    def cancel(self, order_id: str, reason: str) -> Event:
        """Somebody wants the order cancelled."""
        return self.ask(CancellationRequested(order_id=order_id, reason=reason))

    def sweep(self) -> bool:
        """Time has passed: refunds that were refused are asked for again, if any."""
        due = [
            PaymentRefundRetried(order_id=p.order_id, attempt=p.refund_attempts + 1)
            for p in self.payment.payments.values()
            if p.status is PaymentStatus.REFUND_FAILED
        ]
        for data in due:
            self.ask(data, source="payment")
        return bool(due)

    def let_fail(self, step: str, order_id: str) -> None:
        """The step will fail for the order, should it get that far."""
        next(p for p in self.steps if p.name == step).fails.add(order_id)

    # What the participants do

    def publish(self, event: Event) -> None:
        """Append the event to its topic, and hold it against all that must be true of it."""
        assert same(self.said.setdefault(event.id, event), event, self.table)
        self.topics[self.topic_of[event.type]] += (event,)
        if event.order_id not in self.crashed:
            self.assert_true(event)

    def assert_true(self, event: Event) -> None:
        """No end is said before its time: what it says of stock and money is so already."""
        if event.type == self.table.completes:
            assert all(step.keeps(event.order_id) for step in self.steps)
        elif event.type == self.table.aborts:
            assert not any(step.keeps(event.order_id) for step in self.steps)

    def waiting(self) -> list[Reading]:
        """Who has something to read, and where."""
        return [
            (name, topic)
            for (name, topic), position in self.positions.items()
            if position < len(self.topics[topic])
        ]

    def skip(self) -> None:
        """Everybody reads over what does not concern them, which is the same at any time."""
        for (name, topic), position in self.positions.items():
            ahead = enumerate(self.topics[topic][position:], start=position)
            concerns = (at for at, event in ahead if event.type in self.hears[name])
            self.positions[name, topic] = next(concerns, len(self.topics[topic]))

    def next(self, name: str, topic: str) -> Event:
        """What the participant reads next there."""
        return self.topics[topic][self.positions[name, topic]]

    def deliver(self, name: str, topic: str) -> None:
        """One event of the topic to one participant; what it says is published."""
        event = self.next(name, topic)
        self.positions[name, topic] += 1
        for said in self.tell(name, event):
            self.publish(said)

    def crash(self, name: str, topic: str) -> None:
        """The participant dies while it handles the next event; it will hear it again."""
        event = self.next(name, topic)
        self.crashed.add(event.order_id)
        next(p for p in self.steps if p.name == name).crash(event, self.clock.text())

    def tell(self, name: str, event: Event) -> tuple[Event, ...]:
        """One event to one participant; what it says is returned."""
        return self.participant(name).hear(event, self.clock.text())

    def rewind(self, name: str, topic: str, position: int) -> None:
        """The participant will hear again what it heard from `position` on, as after a crash."""
        self.positions[name, topic] = min(position, self.positions[name, topic])

    def run(self) -> None:
        """Deliver until everybody has heard everything."""
        while waiting := self.waiting():
            self.deliver(*waiting[0])

    # What came of it

    def assert_settled(self, order_id: str) -> None:
        """The order has one end, and all that its steps keep or remember says the same."""
        order = self.order.orders[order_id]
        assert order.status is not OrderStatus.PENDING
        confirmed = order.status is OrderStatus.CONFIRMED
        for step in self.steps:
            assert confirmed is step.keeps(order_id)
            step.assert_ended(order_id, confirmed=confirmed)
        said = [event.type for event in self.said.values() if event.order_id == order_id]
        ends = [event for event in said if event in (self.table.completes, self.table.aborts)]
        assert [self.table.completes if confirmed else self.table.aborts] == ends
        if confirmed:
            assert all(step.done in said for step in self.table.steps)
            assert not self.table.undoing(said)
        else:
            assert self.table.undoing(said)
            assert () == self.table.owed(said)

    def twin(self) -> "Choreography":
        """The same world once more, to go its own way from here."""
        made = twin(self)
        made.order, made.inventory = twin(self.order), twin(self.inventory)
        made.payment, made.more = twin(self.payment), tuple(map(twin, self.more))
        made.clock = copy(self.clock)
        return made

    def shape(self) -> Hashable:
        """All that decides what can still happen, so everything but the times."""
        return (
            tuple(tuple(e.id for e in topic) for topic in self.topics.values()),
            tuple(self.positions.values()),
            tuple(participant.shape() for participant in self.participants),
        )


def same(first: Event, again: Event, table: Saga) -> bool:
    """Whether an event said again is what was said before, to the last detail.

    Alone what undid a step may have been called for by another event: by a later step's failure
    and by the cancellation.
    """
    undoing = {e for step in table.steps for e in (step.undone, step.undo_failed)}
    if first.type not in undoing:
        return first == again
    return essence(first) == essence(again)


def essence(event: Event) -> tuple[object, ...]:
    """The event without its cause."""
    return event.id, event.source, event.time, event.correlation_id, event.data


@dataclass(frozen=True, slots=True)
class Faults:
    """What may happen besides the events' being heard, each at any time.

    Attributes:
        asks: each is asked for once.
        crashes: so often a participant dies while it handles an event; any of them, any event.
        rewinds: so often a participant goes back to an earlier position of a topic; any of them,
            any position.
    """

    asks: tuple[EventData, ...] = ()
    crashes: int = 0
    rewinds: int = 0


def every_ending(world: Choreography, faults: Faults) -> list[Choreography]:
    """The worlds at rest to which all the ways lead on which things can happen one after the other.

    Places that differ by nothing but times are one.
    """
    endings: dict[Hashable, Choreography] = {}
    known: set[Hashable] = set()
    ahead = [(world, faults)]
    while ahead:
        here, left = ahead.pop()
        here.skip()
        place = here.shape(), left
        if place in known:
            continue
        known.add(place)
        if not here.waiting() and not left.asks:
            endings[here.shape()] = here
        for move, after in (*moves(here, left), *going_back(here, left)):
            there = here.twin()
            move(there)
            ahead.append((there, after))
    return list(endings.values())


def moves(here: Choreography, left: Faults) -> Iterator[tuple[Move, Faults]]:
    """What can happen next, and the faults that are left after it."""
    steps = {step.name for step in here.steps}
    for name, topic in here.waiting():
        yield methodcaller("deliver", name, topic), left
        if left.crashes and name in steps:
            yield methodcaller("crash", name, topic), replace(left, crashes=left.crashes - 1)
    for number, data in enumerate(left.asks):
        others = (*left.asks[:number], *left.asks[number + 1 :])
        yield methodcaller("ask", data), replace(left, asks=others)


def going_back(here: Choreography, left: Faults) -> Iterator[tuple[Move, Faults]]:
    """Each way to go back to an event that the participant is concerned with."""
    if not left.rewinds:
        return
    after = replace(left, rewinds=left.rewinds - 1)
    for (name, topic), position in here.positions.items():
        for earlier, event in enumerate(here.topics[topic][:position]):
            if event.type in here.hears[name]:
                yield methodcaller("rewind", name, topic, earlier), after
