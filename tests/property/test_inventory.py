"""The shelf against its invariants: random orders, cancellations, batches, crashes, replays and
stale holders, in either saga.

The real inventory service runs over in-memory servers. A model beside it knows what was put on the
shelf, which events exist, and what the service has once said.
"""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.agents.inventory import InventoryService
from app.domain import inventory as domain
from app.domain.inventory import ReservationStatus, Stock
from app.events import Event, OrderPlaced, timestamp
from app.saga import SAGAS, Saga
from app.stores import repositories
from app.stores.errors import ConflictError
from app.stores.stock import StockStore, decode
from app.streaming import OutRecord
from app.topics import BY_EVENT, ORDER
from tests.builders import START, TickingClock, after, order, order_id, placed
from tests.unit.agents.fakes import CrashError, FakeDatabase, FakeRedis, heard, resources, run
from tests.unit.saga.choreography import same

# Few, so that orders get in each other's way.
PRODUCTS = ("apple", "pear")
ABSENT = "unicorn"
LANES = (0, 1)
AT = timestamp(START)
OUTCOMES = {"InventoryReserved", "InventoryRejected"}
NOTHING_HELD = {ReservationStatus.REJECTED, ReservationStatus.RELEASED, ReservationStatus.VOID}

baskets = st.lists(
    st.tuples(st.sampled_from((*PRODUCTS * 4, ABSENT)), st.integers(1, 3)),
    min_size=1,
    max_size=3,
)
sizes = st.tuples(st.integers(1, 4), st.integers(0, 4))
lanes = st.sampled_from(LANES)
Topic = list[Event]


class Lane:
    """One partition of the two topics that the service hears, and how far each is committed."""

    def __init__(self) -> None:
        self.topics: tuple[Topic, Topic] = ([], [])  # order events, payment events
        self.committed = [0, 0]

    def batch(self, sizes: tuple[int, int]) -> tuple[list[Event], list[int]]:
        """Up to so many events of each topic, and the offsets to commit after them."""
        ends = [
            min(len(topic), start + size)
            for topic, start, size in zip(self.topics, self.committed, sizes, strict=True)
        ]
        events = [
            event
            for topic, start, end in zip(self.topics, self.committed, ends, strict=True)
            for event in topic[start:end]
        ]
        return events, ends


class ShelfUnderFaults(RuleBasedStateMachine):
    """Two workers, one lane each, on one shelf."""

    @initialize(
        levels=st.tuples(*(st.integers(0, 12) for _ in PRODUCTS)),
        saga=st.sampled_from(sorted(SAGAS)),
    )
    def put(self, levels: tuple[int, ...], saga: str) -> None:
        self.saga: Saga = SAGAS[saga]
        self.initial = dict(zip(PRODUCTS, levels, strict=True))
        self.database, self.redis, clock = FakeDatabase(), FakeRedis(), TickingClock()
        self.stock = self.database[repositories.STOCK]
        self.kept = self.database[repositories.RESERVATIONS]
        run(StockStore(self.stock).put(self.initial))  # type: ignore[arg-type]
        self.workers = [
            InventoryService(resources(self.database, self.redis, clock=clock), self.saga)
            for _ in LANES
        ]
        self.lanes = [Lane() for _ in LANES]
        self.orders: dict[str, OrderPlaced] = {}
        self.said: dict[str, Event] = {}
        self.ended: set[str] = set()
        self.cancelled: set[str] = set()

    # What happens around the service

    @rule(wanted=st.lists(baskets, min_size=1, max_size=4))
    def place(self, wanted: list[list[tuple[str, int]]]) -> None:
        for basket in wanted:
            number = len(self.orders) + 1
            self.orders[order_id(number)] = order(basket, number=number)
            self._lane(order_id(number)).topics[0].append(placed(basket, number=number))
            if self.saga.trigger(domain.STEP) != self.saga.starts:
                self._publish(self.saga.trigger(domain.STEP), order_id(number))

    @precondition(lambda self: self._cancellable())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """The order service decides so, be anything reserved or not, and most of all where a crash
        left holds of which nothing is remembered."""
        orders = self._cancellable()
        half_done = [o for o in orders if o in self._holding() and o not in self.kept.stored]
        chosen = data.draw(st.sampled_from(half_done or orders))
        self.cancelled.add(chosen)
        self._publish(self.saga.cancels, chosen)

    @precondition(lambda self: self._reserved())
    @rule(data=st.data(), paid=st.booleans())
    def end(self, data: st.DataObject, paid: bool) -> None:
        reserved = data.draw(st.sampled_from(self._reserved()))
        self._end(reserved, paid)

    @rule(lane=lanes, topic=st.sampled_from((0, 1)), back=st.integers(1, 6))
    def go_back(self, lane: int, topic: int, back: int) -> None:
        committed = self.lanes[lane].committed
        committed[topic] = max(0, committed[topic] - back)

    # What the service does

    @rule(lane=lanes, sizes=sizes)
    def handle(self, lane: int, sizes: tuple[int, int]) -> None:
        events, ends = self.lanes[lane].batch(sizes)
        self._heard(run(self.workers[lane].handle(events)))
        self.lanes[lane].committed = ends

    @rule(
        lane=lanes,
        sizes=sizes,
        stock=st.booleans(),
        reaching_the_disk=st.sets(st.integers(0, 5)),
    )
    def handle_and_crash_in_a_write(
        self, lane: int, sizes: tuple[int, int], stock: bool, reaching_the_disk: set[int]
    ) -> None:
        collection = self.stock if stock else self.kept
        collection.crash = lambda count: {n for n in reaching_the_disk if n < count}
        events, _ = self.lanes[lane].batch(sizes)
        try:
            # Nothing may need a write; then it is a crash before the commit.
            self._heard(run(self.workers[lane].handle(events)))
        except CrashError:
            pass
        finally:
            collection.crash = None

    @rule(
        lane=lanes,
        sizes=sizes,
        others=sizes,
    )
    def handle_while_the_lease_ran_out(
        self, lane: int, sizes: tuple[int, int], others: tuple[int, int]
    ) -> None:
        """The other worker decides its batch between this one's decision and its write."""
        other = 1 - lane
        before: dict[str, Stock] = {}
        during: dict[str, Stock] = {}

        def meanwhile() -> None:
            before.update(self._shelf())
            self.redis.expire_all()
            self.handle(other, others)
            during.update(self._shelf())

        self.stock.meanwhile = meanwhile
        try:
            self.handle(lane, sizes)
        except ConflictError:
            # Refused for what the other wrote; the rest may have been written.
            rewritten = {p for p in PRODUCTS if before[p].fence != during[p].fence}
            assert rewritten
            assert {p: during[p] for p in rewritten} == {p: self._shelf()[p] for p in rewritten}
        finally:
            self.stock.meanwhile = None

    # What must hold

    @invariant()
    def no_unit_is_lost_or_sold_twice(self) -> None:
        for product, stock in self._shelf().items():
            assert stock.available >= 0
            assert stock.sold >= 0
            assert all(units > 0 for units in stock.holds.values())
            assert self.initial[product] == stock.available + stock.reserved + stock.sold

    @rule()
    def come_to_rest(self) -> None:
        """All is heard: each order holds all of its items or none."""
        for lane in LANES:
            self.handle(lane, (1000, 1000))
        holding = {}
        for chosen in self.orders:
            wanted = domain.quantities(self.orders[chosen])
            held = {p: s.held(chosen) for p, s in self._shelf().items() if s.held(chosen)}
            assert held in ({}, wanted)
            holding[chosen] = bool(held)
        statuses = {key: document["status"] for key, document in self.kept.documents().items()}
        assert self.orders.keys() == statuses.keys()
        assert {k: s == ReservationStatus.RESERVED for k, s in statuses.items()} == holding

    @rule()
    def end_everything(self) -> None:
        """All orders ended: nothing is held, and sold is what the settled orders wanted."""
        self.come_to_rest()
        for number, chosen in enumerate(self._reserved()):
            self._end(chosen, paid=bool(number % 2))
        self.come_to_rest()
        for cancelled in self.cancelled:
            assert self.kept.documents()[cancelled]["status"] in NOTHING_HELD
        sold = dict.fromkeys(PRODUCTS, 0)
        for document in self.kept.documents().values():
            if document["status"] == ReservationStatus.SETTLED:
                for product, units in document["items"]:
                    sold[product] += units
        assert sold == {product: stock.sold for product, stock in self._shelf().items()}
        assert {0} == {stock.reserved for stock in self._shelf().values()}

    def teardown(self) -> None:
        if hasattr(self, "lanes"):
            self.end_everything()

    # Helpers

    def _lane(self, chosen: str) -> Lane:
        return self.lanes[int(chosen[-12:], 16) % len(LANES)]

    def _shelf(self) -> dict[str, Stock]:
        return {key: decode(document) for key, document in self.stock.documents().items()}

    def _holding(self) -> set[str]:
        """The orders that hold anything."""
        return {chosen for stock in self._shelf().values() for chosen in stock.holds}

    def _cancellable(self) -> list[str]:
        """The orders that are neither cancelled nor confirmed."""
        return sorted(self.orders.keys() - self.ended - self.cancelled)

    def _reserved(self) -> list[str]:
        """The orders whose end may have come by now."""
        said = {e.order_id for e in self.said.values() if e.type == "InventoryReserved"}
        return sorted(said - self.ended)

    def _end(self, chosen: str, paid: bool) -> None:
        """Confirmed, or undone by what undoes it: a later step's failure, or the cancellation."""
        self.ended.add(chosen)
        if paid and chosen not in self.cancelled:
            self._publish(self.saga.completes, chosen)
        else:
            self._publish(self.saga.undo_triggers(domain.STEP)[0], chosen)

    def _publish(self, kind: str, chosen: str) -> None:
        topics = self._lane(chosen).topics
        cause = next(event for event in topics[0] if event.order_id == chosen)
        event = after(cause, kind, AT, of=self.orders[chosen])
        topics[BY_EVENT[kind] is not ORDER].append(event)

    def _heard(self, records: Sequence[OutRecord]) -> None:
        """What is said again is the same to the last detail, and an order has one outcome."""
        for event in heard(records):
            assert same(self.said.setdefault(event.id, event), event, self.saga)
        outcomes = [e.order_id for e in self.said.values() if e.type in OUTCOMES]
        assert len(set(outcomes)) == len(outcomes)


TestShelfUnderFaults = ShelfUnderFaults.TestCase
# Time enough to find the shortest failing story, should there be one.
TestShelfUnderFaults.pytestmark = [pytest.mark.timeout(400)]
TestShelfUnderFaults.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
