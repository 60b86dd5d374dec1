"""The order's end, whatever way its events arrive."""

from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.order import Order, OrderStatus, decide
from app.events import Event
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, SAGAS, Saga
from app.stores.repositories import decode_order, encode_order
from tests.builders import BY_USER, TIMEOUT, TickingClock, after, order, order_id, placed
from tests.unit.saga.choreography import Choreography

BASKET = order({"apple": 2})
OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)

CONFIRMED, CANCELLED = OrderStatus.CONFIRMED, OrderStatus.CANCELLED
# The saga's events, in the order in which they happen, and the end they lead to.
COURSES: list[tuple[Saga, tuple[str, ...], OrderStatus, str | None]] = [
    (INVENTORY_FIRST, ("InventoryReserved", "PaymentProcessed"), CONFIRMED, None),
    (INVENTORY_FIRST, ("InventoryRejected",), CANCELLED, "OUT_OF_STOCK"),
    (
        INVENTORY_FIRST,
        ("InventoryReserved", "PaymentFailed", "InventoryReleased"),
        CANCELLED,
        "PAYMENT_FAILED",
    ),
    (PAYMENT_FIRST, ("PaymentProcessed", "InventoryReserved"), CONFIRMED, None),
    (PAYMENT_FIRST, ("PaymentFailed",), CANCELLED, "PAYMENT_FAILED"),
    (
        PAYMENT_FIRST,
        ("PaymentProcessed", "InventoryRejected", "PaymentRefunded"),
        CANCELLED,
        "OUT_OF_STOCK",
    ),
]


def happened(kinds: tuple[str, ...], end: OrderStatus, reason: str | None) -> list[Event]:
    """The events of the course, its end included, which the order service hears as well."""
    clock = TickingClock()
    events = [placed({"apple": 2}, at=clock.text())]
    ending = "OrderConfirmed" if end is CONFIRMED else "OrderCancelled"
    for kind in (*kinds, ending):
        events.append(after(events[-1], kind, clock.text(), of=BASKET, reason=reason))
    return events


def stored(state: Order) -> Order:
    """The order as it comes back from the database."""
    document = {"_id": state.order_id, **encode_order(state)}
    return decode_order(bson.decode(bson.encode(document), OPTIONS))


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[Any, list[Event]]:
    """A course, and its events in any order, each at least once and some more often."""
    course = draw(st.sampled_from(COURSES))
    events = happened(*course[1:])
    again = draw(st.lists(st.sampled_from(events), max_size=12))
    return course, draw(st.permutations([*events, *again]))


@settings(max_examples=250, deadline=None)
@given(arrivals(), st.data())
def test_any_order_of_arrival_leads_to_the_one_end_told_by_the_event_that_ended_it(
    arrival: tuple[Any, list[Event]], data: st.DataObject
) -> None:
    (saga, kinds, status, reason), events = arrival
    clock = TickingClock()
    state: Order | None = None
    heard: set[str] = set()
    end: Event | None = None
    ended_by: str | None = None
    for event in events:
        if state is not None and data.draw(st.booleans()):
            state = stored(state)
        decision = decide(state, event, saga, clock.text())
        state = decision.state
        heard.add(event.type)
        complete = "OrderPlaced" in heard and _decided(saga, kinds, heard)
        if complete and end is None:
            (end,) = decision.events
            ended_by = event.id
        elif event.id == ended_by:
            assert (end,) == decision.events
        else:
            assert () == decision.events

    assert state is not None
    assert end is not None
    assert (status, reason, ended_by) == (state.status, state.reason, state.ended_by)
    assert saga.completes if status is CONFIRMED else saga.aborts == end.type
    assert len(kinds) + 2 == len(state.history)
    assert BASKET == state.placed


def _decided(saga: Saga, kinds: tuple[str, ...], heard: set[str]) -> bool:
    """Whether the end is known, beside the order itself: all that must be heard was heard.

    Of a cancelled order that is its failure and its compensations; that the steps before it were
    once done goes without saying.
    """
    needed = set(kinds)
    if any(step.failed in kinds for step in saga.steps):
        needed -= {step.done for step in saga.steps}
    return needed <= heard


def told(table: Saga) -> list[Event]:
    """One event of each type that the order service may hear, requests for two reasons."""
    first = placed({"apple": 2})
    kinds = [kind for kind in table.events() if kind != table.starts]
    ends = [table.completes, table.aborts, table.cancels]
    others = [after(first, kind, f"at {kind}", of=BASKET) for kind in (*kinds, *ends)]
    requests = [
        after(first, table.cancel_request, "at request", of=BASKET, reason=reason)
        for reason in (BY_USER, TIMEOUT)
    ]
    return [first, *others, *requests]


@settings(max_examples=250, deadline=None)
@given(table=st.sampled_from(list(SAGAS.values())), data=st.data())
def test_whatever_is_heard_an_order_ends_once_and_what_was_said_is_said_again_in_the_same_words(
    table: Saga, data: st.DataObject
) -> None:
    """Any events, in any order, whether or not they can happen together; read from the store or
    not."""
    clock = TickingClock()
    state: Order | None = None
    said: dict[str, Event] = {}
    caused: dict[str, tuple[Event, ...]] = {}
    for event in data.draw(st.lists(st.sampled_from(told(table)), max_size=30)):
        if state is not None and data.draw(st.booleans()):
            state = stored(state)
        before = state
        decision = decide(state, event, table, clock.text())
        state = decision.state
        for answer in decision.events:
            assert said.setdefault(answer.id, answer) == answer
            if answer.type == table.aborts:
                assert state is not None
                assert () == table.owed(state.seen)
                assert table.undoing(state.seen)
        assert caused.get(event.id, ()) in ((), decision.events)
        caused[event.id] = decision.events
        if before is not None and before.status is not OrderStatus.PENDING:
            assert state is not None
            assert before.status is state.status
            assert before.reason in (None, state.reason)

    ends = {e.type for e in said.values()} & {table.completes, table.aborts}
    assert len(ends) <= 1
    assert state is not None or not said
    if state is not None:
        assert bool(ends) is (state.status is not OrderStatus.PENDING)
        assert (table.cancels in {e.type for e in said.values()}) is bool(state.cancelled_by)
        if state.cancelled_by:
            assert table.completes not in ends
            assert state.reason in {BY_USER, TIMEOUT}


@settings(max_examples=200, deadline=None)
@given(table=st.sampled_from(list(SAGAS.values())), data=st.data())
def test_what_is_decided_of_a_stored_order_is_what_is_decided_of_one_in_memory(
    table: Saga, data: st.DataObject
) -> None:
    events = data.draw(st.lists(st.sampled_from(told(table)), max_size=20))
    clock = TickingClock()
    kept: Order | None = None
    read: Order | None = None
    for event in events:
        now = clock.text()
        in_memory = decide(kept, event, table, now)
        from_store = decide(read, event, table, now)
        assert in_memory == from_store
        kept = in_memory.state
        read = stored(from_store.state) if from_store.state is not None else None


class Shop:
    """A few orders whose events are heard in an order that is drawn."""

    def __init__(self, table: Saga, data: st.DataObject) -> None:
        self.world = Choreography(table)
        self.draw = data.draw
        self.faults = 6

    def place(self, apples: int, baskets: list[int]) -> None:
        """So many apples on the shelf, and orders of so many each; some of them are unlucky."""
        self.world.inventory.stock({"apple": apples})
        self.baskets = {order_id(n): units for n, units in enumerate(baskets, start=1)}
        some = st.sets(st.sampled_from(sorted(self.baskets)))
        self.world.inventory.fails = self.draw(some)
        self.world.payment.fails = self.draw(some)
        for unlucky in self.draw(some):
            self.world.payment.provider.refuses[unlucky] = self.draw(st.integers(1, 2))
        for number, units in enumerate(baskets, start=1):
            self.world.ask(order({"apple": units}, number=number))

    def run(self) -> None:
        """Until all is heard, and nothing more is due."""
        while (waiting := self.world.waiting()) or self.world.sweep():
            if self.faults and self.draw(st.integers(0, 3)) == 0:
                self.faults -= 1
                self.draw(st.sampled_from([self.cancel, self.rewind, self.crash, self.twice]))()
            elif waiting:
                self.world.deliver(*self.draw(st.sampled_from(waiting)))

    def cancel(self) -> None:
        """Somebody wants some order cancelled, perhaps one that has ended, perhaps again."""
        chosen = self.draw(st.sampled_from(sorted(self.baskets)))
        self.world.cancel(chosen, self.draw(st.sampled_from([BY_USER, TIMEOUT])))

    def rewind(self) -> None:
        """A participant reads a topic again, from some earlier position on."""
        name, topic = self.draw(st.sampled_from(sorted(self.world.positions)))
        self.world.rewind(name, topic, self.draw(st.integers(0, self.world.positions[name, topic])))

    def crash(self) -> None:
        """A participant dies over what it reads next."""
        steps = {step.name for step in self.world.steps}
        dying = [reading for reading in self.world.waiting() if reading[0] in steps]
        if dying:
            self.world.crash(*self.draw(st.sampled_from(dying)))

    def twice(self) -> None:
        """An event that was published is published again, as by a producer that tried again."""
        topic = self.draw(st.sampled_from(sorted(t for t, e in self.world.topics.items() if e)))
        again = self.draw(st.sampled_from(self.world.topics[topic]))
        self.world.topics[topic] += (again,)


@settings(max_examples=200, deadline=None)
@given(
    table=st.sampled_from(list(SAGAS.values())),
    apples=st.integers(0, 8),
    baskets=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    data=st.data(),
)
def test_sagas_end_consistently_under_any_schedule_with_cancellations_crashes_and_replays(
    table: Saga, apples: int, baskets: list[int], data: st.DataObject
) -> None:
    """What is said again is checked by the world as it goes, and so is the moment of each end."""
    shop = Shop(table, data)
    shop.place(apples, baskets)

    shop.run()

    world = shop.world
    for chosen in shop.baskets:
        world.assert_settled(chosen)
    sold = sum(
        units
        for chosen, units in shop.baskets.items()
        if world.order.orders[chosen].status is CONFIRMED
    )
    assert sold == world.inventory.shelf["apple"].sold
    assert 0 == world.inventory.shelf["apple"].reserved
    assert apples == sold + world.inventory.shelf["apple"].available
