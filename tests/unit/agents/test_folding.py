"""Folding decisions over a batch."""

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.folding import Folding, fold, keys, outgoing, rounds
from app.codec import encode
from app.domain.decision import Decision
from app.events import Event
from app.stores.mongo import Stored
from tests.builders import order_id, placed
from tests.unit.agents.fakes import run

AT = "2011-12-09T12:50:00.000000Z"


class FakeStore:
    """Counts what was asked; a state is the number of events heard."""

    def __init__(self, **known: int) -> None:
        self.known = known
        self.loads: list[list[str]] = []
        self.saves: list[list[tuple[str, int | None, int]]] = []

    async def load(self, keys: Iterable[str]) -> dict[str, Stored[int]]:
        self.loads.append(list(keys))
        return {key: Stored(self.known.get(key)) for key in self.loads[-1]}

    async def save(self, changes: Sequence[tuple[str, Stored[int], int]]) -> None:
        self.saves.append([(key, stored.state, state) for key, stored, state in changes])


def test_folding_loads_and_saves_once_however_many_events_there_are() -> None:
    store = FakeStore(**{order_id(2): 5})
    events = [placed(number=n, at=f"{i}") for i, n in enumerate((1, 2, 1, 3, 1))]

    def decide(count: int | None, event: Event) -> Decision[int | None]:
        if event.order_id == order_id(3):
            return Decision(count)
        return Decision((count or 0) + 1, (event,))

    out = run(fold(store, events, decide))  # type: ignore[arg-type]

    assert [[order_id(1), order_id(2), order_id(3)]] == store.loads
    assert [[(order_id(1), None, 3), (order_id(2), 5, 6)]] == store.saves
    assert outgoing(e for e in events if e.order_id != order_id(3)) == out


def test_a_state_that_did_not_change_is_not_saved() -> None:
    state = (1, 2)
    folding: Folding[tuple[int, ...]] = Folding({order_id(1): Stored(state)})
    folding.apply(placed(), Decision(state))

    assert [] == folding.changes()


def test_an_order_nothing_is_known_of_is_not_saved() -> None:
    folding: Folding[int] = Folding({order_id(1): Stored(None)})
    folding.apply(placed(), Decision(None))

    assert [] == folding.changes()


def test_an_outgoing_record_is_the_encoded_event() -> None:
    event = placed()
    encoded = encode(event)

    (record,) = outgoing([event])

    assert (encoded.topic, encoded.key, encoded.value, encoded.headers) == (
        record.topic,
        record.key,
        record.value,
        record.headers,
    )
    assert record.partition is None


def test_each_order_is_named_once_in_the_order_of_its_first_event() -> None:
    assert [order_id(2), order_id(1)] == keys([placed(number=n) for n in (2, 1, 2, 1)])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1, 5), max_size=40))
def test_rounds_keep_each_orders_events_in_their_order(numbers: list[int]) -> None:
    events = [placed(number=n, at=str(position)) for position, n in enumerate(numbers)]

    groups = list(rounds(events))

    def of(order: str, found: Iterable[Any]) -> list[Event]:
        return [event for event in found if event.order_id == order]

    flat = [event for group in groups for event in group]
    assert len(events) == len(flat)
    for order in keys(events):
        assert of(order, events) == of(order, flat)
    for group in groups:
        assert group
        assert len(keys(group)) == len(group)
    assert max((numbers.count(n) for n in numbers), default=0) == len(groups)
