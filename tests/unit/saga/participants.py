"""The services as their pure decisions, with their states in dicts and no server behind them.

A step's participant can also be stopped half-way: `crash` does what is done elsewhere (units held,
money moved), and forgets the rest, as a process does that dies before it stored its state.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from copy import copy
from typing import Generic, Protocol, TypeVar

from app.domain import inventory, payment
from app.domain import order as orders
from app.domain.decision import Decision
from app.events import Event
from app.saga import Saga

DECLINED = "the card was declined"
REFUSED = "not today"
WITHDRAWN = "it was withdrawn"

T = TypeVar("T")


def twin(thing: T) -> T:
    """The same once more, to go its own way from here. States and events need no copy: they never
    change."""
    made = copy(thing)
    for name, value in vars(made).items():
        if isinstance(value, dict | set | Ledger):
            setattr(made, name, twin(value) if isinstance(value, Ledger) else copy(value))
    return made


class Participant(Protocol):
    """One service: which events it acts on, and what it says to one."""

    name: str
    hears: tuple[str, ...]

    def hear(self, event: Event, now: str) -> tuple[Event, ...]: ...

    def shape(self) -> Hashable:
        """All that decides what it will do, so its state without the times."""
        ...


class StepParticipant(Participant, Protocol):
    """A service that has a step of the saga.

    Attributes:
        fails: the orders whose step fails.
    """

    fails: set[str]

    def crash(self, event: Event, now: str) -> None:
        """Hear the event and die before anything is stored or said."""
        ...

    def keeps(self, order_id: str) -> bool:
        """Whether there is anything of the order's: units, money, whatever the step is about."""
        ...

    def assert_ended(self, order_id: str, *, confirmed: bool) -> None:
        """What it remembers of the order is what its end says."""
        ...


class PureStep(Generic[T]):
    """A step that asks nobody: all that it does is what its decisions say.

    Args:
        decide: its `decide(state, event, saga, now)`.
        status: what of a state is not a time.
        done: the status of a step that is done and not undone.
    """

    def __init__(
        self,
        table: Saga,
        name: str,
        decide: Callable[[T | None, Event, Saga, str], Decision[T | None]],
        status: Callable[[T], Hashable],
        done: Hashable,
    ) -> None:
        self.name = name
        self.table = table
        self.hears = (table.trigger(name), *table.undo_triggers(name))
        self.states: dict[str, T] = {}
        self.fails: set[str] = set()
        self._decide = decide
        self._status = status
        self._done = done

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        decision = self._decide(self.states.get(event.order_id), event, self.table, now)
        if decision.state is not None:
            self.states[event.order_id] = decision.state
        return decision.events

    def crash(self, event: Event, now: str) -> None:
        """It does nothing outside of what it stores."""

    def keeps(self, order_id: str) -> bool:
        state = self.states.get(order_id)
        return state is not None and self._status(state) == self._done

    def assert_ended(self, order_id: str, *, confirmed: bool) -> None:
        assert confirmed is self.keeps(order_id)

    def shape(self) -> Hashable:
        return tuple((order_id, self._status(state)) for order_id, state in self.states.items())


class OrderService:
    """The order service."""

    name = "order"

    def __init__(self, table: Saga) -> None:
        self.table = table
        self.hears = (*table.events(), table.cancel_request)
        self.orders: dict[str, orders.Order] = {}

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        decision = orders.decide(self.orders.get(event.order_id), event, self.table, now)
        if decision.state is not None:
            self.orders[event.order_id] = decision.state
        return decision.events

    def shape(self) -> Hashable:
        return tuple(
            (o.order_id, o.placed is None, o.status, o.reason, o.seen, o.ended_by, o.cancelled_by)
            for o in self.orders.values()
        )


class InventoryService:
    """The inventory service and its shelf."""

    name = "inventory"

    def __init__(self, table: Saga) -> None:
        self.table = table
        self.hears = (table.trigger(self.name), *table.undo_triggers(self.name), table.completes)
        self.initial: dict[str, int] = {}
        self.shelf: dict[str, inventory.Stock] = {}
        self.reservations: dict[str, inventory.Reservation] = {}
        self.fails: set[str] = set()

    def stock(self, levels: Mapping[str, int]) -> None:
        self.initial.update(levels)
        self.shelf.update({p: inventory.Stock(p, units) for p, units in levels.items()})

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        decision = self._decide(event, now)
        self.shelf.update(decision.touched)
        if decision.state is not None:
            self.reservations[event.order_id] = decision.state
        self.check()
        return decision.events

    def crash(self, event: Event, now: str) -> None:
        """Of several products, only the first one's write came through."""
        touched = self._decide(event, now).touched
        self.shelf.update({product: touched[product] for product in sorted(touched)[:1]})
        self.check()

    def _decide(self, event: Event, now: str) -> inventory.InventoryDecision:
        known = self.reservations.get(event.order_id)
        needed = inventory.products(known, event, self.table)
        stocks = {p: self.shelf[p] for p in needed if p in self.shelf}
        decision = inventory.decide(
            known, stocks, event, self.table, now, fails=event.order_id in self.fails
        )
        assert decision.touched.keys() <= needed
        return decision

    def check(self) -> None:
        """No unit came from nowhere or was sold twice."""
        for product, stock in self.shelf.items():
            assert stock.available >= 0
            assert self.initial[product] == stock.available + stock.reserved + stock.sold

    def keeps(self, order_id: str) -> bool:
        known = self.reservations.get(order_id)
        settled = known is not None and known.status is inventory.ReservationStatus.SETTLED
        return settled or any(stock.held(order_id) for stock in self.shelf.values())

    def assert_ended(self, order_id: str, *, confirmed: bool) -> None:
        known = self.reservations.get(order_id)
        assert not any(stock.held(order_id) for stock in self.shelf.values())
        if confirmed:
            assert known is not None
            assert known.status is inventory.ReservationStatus.SETTLED
        else:
            assert known is None or known.status in {
                inventory.ReservationStatus.REJECTED,
                inventory.ReservationStatus.RELEASED,
                inventory.ReservationStatus.VOID,
            }

    def shape(self) -> Hashable:
        return (
            tuple((r.order_id, r.status, r.reason) for r in self.reservations.values()),
            tuple(
                (stock.available, stock.sold, tuple(stock.holds.items()))
                for stock in self.shelf.values()
            ),
        )


class Ledger:
    """A payment provider: it charges an order once, however often it is asked."""

    def __init__(self) -> None:
        self.answers: dict[str, payment.Result] = {}
        self.charges: Counter[str] = Counter()
        self.refunds: Counter[str] = Counter()
        self.refuses: Counter[str] = Counter()

    def charge(self, order_id: str, *, declines: bool) -> payment.Result:
        if order_id not in self.answers:
            self.charges[order_id] += not declines
            self.answers[order_id] = (
                payment.Result(ok=False, detail=DECLINED)
                if declines
                else payment.Result(ok=True, payment_id=f"pay-{order_id}")
            )
        return self.answers[order_id]

    def refund(self, order_id: str, attempt: int) -> payment.Result:
        """Refused as often as `refuses` says."""
        if attempt <= self.refuses[order_id]:
            return payment.Result(ok=False, detail=REFUSED)
        self.refunds[order_id] = self.charges[order_id]
        return self.answers[order_id]

    def withdraw(self, order_id: str) -> payment.Result:
        """Nothing is charged after this, and never will be."""
        self.answers.setdefault(order_id, payment.Result(ok=False, detail=WITHDRAWN))
        self.refunds[order_id] = self.charges[order_id]
        return payment.Result(ok=True)

    def keeps(self, order_id: str) -> bool:
        return self.charges[order_id] != self.refunds[order_id]


class PaymentService:
    """The payment service and its provider."""

    name = "payment"

    def __init__(self, table: Saga) -> None:
        self.table = table
        again = table.step(self.name).undo_again
        assert again is not None
        self.hears = (table.trigger(self.name), *table.undo_triggers(self.name), again)
        self.payments: dict[str, payment.Payment] = {}
        self.provider = Ledger()
        self.fails: set[str] = set()

    def hear(self, event: Event, now: str) -> tuple[Event, ...]:
        known = self.payments.get(event.order_id)
        decision = payment.decide(known, event, self._ask(event), self.table, now)
        if decision.state is not None:
            self.payments[event.order_id] = decision.state
        return decision.events

    def crash(self, event: Event, now: str) -> None:
        self._ask(event)

    def _ask(self, event: Event) -> payment.Result | None:
        request = payment.request(self.payments.get(event.order_id), event, self.table)
        if request is None:
            return None
        match request.action:
            case payment.Action.CHARGE:
                declines = request.order_id in self.fails
                return self.provider.charge(request.order_id, declines=declines)
            case payment.Action.REFUND:
                return self.provider.refund(request.order_id, request.attempt)
            case payment.Action.WITHDRAW:
                return self.provider.withdraw(request.order_id)

    def keeps(self, order_id: str) -> bool:
        return self.provider.keeps(order_id)

    def assert_ended(self, order_id: str, *, confirmed: bool) -> None:
        known = self.payments.get(order_id)
        assert self.provider.charges[order_id] <= 1
        if confirmed:
            assert known is not None
            assert known.status is payment.PaymentStatus.CHARGED
        else:
            assert known is None or known.status in {
                payment.PaymentStatus.FAILED,
                payment.PaymentStatus.REFUNDED,
                payment.PaymentStatus.VOID,
            }

    def shape(self) -> Hashable:
        return (
            tuple((p.order_id, p.status, p.refund_attempts) for p in self.payments.values()),
            tuple(self.provider.charges.items()),
            tuple(self.provider.refunds.items()),
        )
