"""The order's end, whatever way its events arrive."""

from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.order import Order, OrderStatus, decide
from app.events import Event, OrderPlaced
from app.saga import INVENTORY_FIRST, Saga
from app.stores.repositories import decode_order, encode_order
from tests.builders import PAYMENT_FIRST, TickingClock, after, order, order_id, placed
from tests.saga_dsl import Choreography

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


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=200, deadline=None)
@given(arrivals())
def test_what_is_decided_of_a_stored_order_is_what_is_decided_of_one_in_memory(
    arrival: tuple[Any, list[Event]],
) -> None:
    (saga, *_), events = arrival
    clock = TickingClock()
    kept: Order | None = None
    read: Order | None = None
    for event in events:
        now = clock.text()
        in_memory = decide(kept, event, saga, now)
        from_store = decide(read, event, saga, now)
        assert in_memory == from_store
        kept = in_memory.state
        read = stored(from_store.state) if from_store.state is not None else None


@settings(max_examples=150, deadline=None)
@given(
    table=st.sampled_from([INVENTORY_FIRST, PAYMENT_FIRST]),
    apples=st.integers(0, 8),
    baskets=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    declined=st.sets(st.integers(1, 4)),
    data=st.data(),
)
def test_sagas_end_consistently_under_any_schedule_with_replays(
    table: Saga, apples: int, baskets: list[int], declined: set[int], data: st.DataObject
) -> None:
    """Participants read their topics in any order, and again from where they were before."""
    world = Choreography(table)
    world.inventory.stock({"apple": apples})
    world.payment.fails = {order_id(number) for number in declined}
    for number, units in enumerate(baskets, start=1):
        event = placed({"apple": units}, number=number)
        assert isinstance(event.data, OrderPlaced)
        world.publish(event)
    replays = data.draw(st.integers(0, 4))
    while waiting := world.waiting():
        if replays and data.draw(st.booleans()):
            replays -= 1
            name, topic = data.draw(st.sampled_from(sorted(world.positions)))
            world.rewind(name, topic, data.draw(st.integers(0, world.positions[name, topic])))
        else:
            world.deliver(*data.draw(st.sampled_from(waiting)))

    ids = [order_id(number) for number, _ in enumerate(baskets, start=1)]
    for order_ in ids:
        world.assert_settled(order_)
    sold = sum(
        units
        for order_, units in zip(ids, baskets, strict=True)
        if world.order.orders[order_].status is CONFIRMED
    )
    assert sold == world.inventory.shelf["apple"].sold
    assert 0 == world.inventory.shelf["apple"].reserved
    ends = [e for e in world.said.values() if e.type in {table.completes, table.aborts}]
    assert sorted(ids) == sorted(event.order_id for event in ends)
