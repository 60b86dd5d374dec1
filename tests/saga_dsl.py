"""Sagas told as sagas: given, expect, given a failure, expect it compensated, the end.

    saga(INVENTORY_FIRST).with_stock(apple=5).given(order({"apple": 2}))
        .expect("InventoryReserved")
        .given_failure("PaymentFailed")
        .expect_compensated("InventoryReleased")
        .ends("OrderCancelled", reason="PAYMENT_FAILED")

Behind it the pure decisions of order, inventory and payment talk to each other over topics that are
lists. Who hears what first is always the same, unless the story says otherwise: `hears` lets a
participant be early, `hearing_late` late.
"""

from collections.abc import Sequence
from typing import Self

from app.events import Event, EventData, OrderPlaced
from app.saga import Saga
from app.topics import TopicSpec
from tests.builders import BY_USER, TIMEOUT
from tests.unit.saga.choreography import Choreography, same
from tests.unit.saga.participants import StepParticipant

__all__ = ["Choreography", "Told", "saga"]


class Told:
    """A saga of one order, told step by step. Each method returns the story so far."""

    def __init__(self, world: Choreography) -> None:
        self.world = world
        self._told: dict[str, Event] = {}
        self._late: list[tuple[str, str]] = []
        self._duplicates = False

    # How the story is set

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
        self._late.append((participant, topic))
        return self

    # What happens from outside

    def given(self, placed: OrderPlaced) -> Self:
        """The order was placed."""
        return self._given(self.world.ask(placed))

    def given_cancelled(self, reason: str = BY_USER) -> Self:
        """Somebody asks for the order to be cancelled, at this very moment."""
        return self._given(self.world.cancel(self.order_id, reason))

    def given_timeout(self) -> Self:
        """The order took too long, says the sweep, at this very moment."""
        return self.given_cancelled(TIMEOUT)

    def given_sweep(self) -> Self:
        """Time has passed: what was refused is tried again."""
        assert self.world.sweep()
        return self._given(list(self.world.said.values())[-1])

    def given_refusals(self, times: int) -> Self:
        """The provider will refuse to give the money back so often."""
        self.world.payment.provider.refuses[self.order_id] = times
        return self

    def given_failure(self, event: str) -> Self:
        """The participant whose failure this is fails, and says so next."""
        return self.given_weakness(event).expect(event)

    def given_weakness(self, event: str) -> Self:
        """The participant whose failure this is will fail, should it get that far."""
        step = next(step for step in self.world.table.steps if step.failed == event)
        self.world.let_fail(step.name, self.order_id)
        return self

    # Who hears what next

    def hears(self, participant: str, event: str) -> Self:
        """The participant reads on in the event's topic until it has heard it, before all else."""
        topic = self.world.topic_of[event]
        while self.world.next(participant, topic).type != event:
            self._deliver(participant, topic)
        self._deliver(participant, topic)
        return self

    def crashes(self, participant: str, event: str) -> Self:
        """The participant reads on up to the event, acts on it, and dies before it remembers or
        says anything. It will hear the event again."""
        topic = self.world.topic_of[event]
        while self.world.next(participant, topic).type != event:
            self._deliver(participant, topic)
        self.world.crash(participant, topic)
        return self

    # What comes of it

    def expect(self, *events: str) -> Self:
        """These events are said next, in this order, and no other between them."""
        for name in events:
            assert name == self._next().type
        return self

    def expect_compensated(self, *events: str) -> Self:
        """These compensations are said next; each undoes a step that was done before."""
        for name in events:
            step = next(step for step in self.world.table.steps if step.undone == name)
            assert step.done in {event.type for event in self.events}
            self.expect(name)
        return self

    def expect_void(self, *events: str) -> Self:
        """These steps promise next that they never will begin."""
        for name in events:
            step = next(step for step in self.world.table.steps if step.undone == name)
            assert step.done not in {event.type for event in self.events}
            self.expect(name)
        return self

    def ends(self, event: str, *, reason: str | None = None) -> Self:
        """The order ends so, once; nothing else is said, nothing is held, and no money is owed."""
        end = self._next()
        assert event == end.type
        assert reason == getattr(end.data, "reason", None)
        assert self.world.order.orders[self.order_id].ended_by == end.causation_id
        return self.expect_nothing_more()

    def expect_nothing_more(self) -> Self:
        """When all is heard, nothing else was said, and the order is settled."""
        while self._advance():
            pass
        assert [] == [event.type for event in self._untold()]
        self.world.assert_settled(self.order_id)
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
        return list(self._told.values())

    @property
    def order_id(self) -> str:
        """The order that the story is about."""
        return self.events[0].order_id

    def _given(self, event: Event) -> Self:
        self._told.setdefault(event.id, event)
        return self

    def _untold(self) -> list[Event]:
        return [event for id_, event in self.world.said.items() if id_ not in self._told]

    def _next(self) -> Event:
        """The next event that was not told yet."""
        while not (untold := self._untold()):
            assert self._advance(), f"silence after {[e.type for e in self.events]}"
        self._given(untold[0])
        return untold[0]

    def _advance(self) -> bool:
        waiting = self.world.waiting()
        if not waiting:
            return False
        punctual = [reading for reading in waiting if reading not in self._late]
        self._deliver(*(punctual or waiting)[0])
        return True

    def _deliver(self, name: str, topic: str) -> None:
        position = self.world.positions[name, topic]
        self.world.deliver(name, topic)
        if self._duplicates:
            for event in self.world.topics[topic][: position + 1]:
                for again in self.world.tell(name, event):
                    assert same(self.world.said[again.id], again, self.world.table)


def saga(
    table: Saga, more: Sequence[StepParticipant] = (), specs: Sequence[TopicSpec] = ()
) -> Told:
    """The beginning of a story; `more` are the participants of further steps, on these topics."""
    return Told(Choreography(table, more, specs))
