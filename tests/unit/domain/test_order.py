"""The order service's decisions, one at a time; see also the properties."""

from app.domain.order import HistoryEntry, Order, OrderStatus, decide
from app.events import Event
from app.saga import INVENTORY_FIRST
from tests.builders import after, order, order_id, placed

AT = "2011-12-09T12:00:00.000000Z"


def event(kind: str, at: str = AT) -> Event:
    return after(placed(), kind, at, of=order())


def heard(*events: Event) -> Order:
    state: Order | None = None
    for now, each in enumerate(events):
        state = decide(state, each, INVENTORY_FIRST, f"decided {now}").state
    assert state is not None
    return state


def test_the_history_names_each_event_with_its_own_time_and_the_end_with_the_time_of_deciding() -> (
    None
):
    state = heard(placed(at="1"), event("InventoryReserved", "2"), event("PaymentProcessed", "3"))

    assert (
        HistoryEntry("OrderPlaced", "1"),
        HistoryEntry("InventoryReserved", "2"),
        HistoryEntry("PaymentProcessed", "3"),
        HistoryEntry("OrderConfirmed", "decided 2"),
    ) == state.history
    assert "decided 2" == state.updated_at
    assert OrderStatus.CONFIRMED is state.status


def test_an_order_is_not_cancelled_before_its_stock_is_back() -> None:
    waiting = heard(placed(), event("InventoryReserved"), event("PaymentFailed"))

    assert OrderStatus.PENDING is waiting.status
    assert "PAYMENT_FAILED" == waiting.reason
    ended = decide(waiting, event("InventoryReleased"), INVENTORY_FIRST, AT)
    assert ended.state is not None
    assert OrderStatus.CANCELLED is ended.state.status


def test_its_own_end_changes_nothing() -> None:
    state = heard(placed(), event("InventoryReserved"), event("PaymentProcessed"))

    decision = decide(state, event("OrderConfirmed"), INVENTORY_FIRST, "later")

    assert state is decision.state
    assert () == decision.events


def test_the_end_of_an_order_that_is_not_known_makes_no_order() -> None:
    assert decide(None, event("OrderConfirmed"), INVENTORY_FIRST, AT).state is None


def test_a_repeated_end_keeps_its_first_time_whatever_was_heard_since() -> None:
    late = heard(
        placed(),
        event("PaymentFailed"),
        event("InventoryReleased"),
        event("InventoryReserved", "much later"),
    )

    (end,) = decide(late, event("InventoryReleased"), INVENTORY_FIRST, "now").events

    assert ("OrderCancelled", "decided 2") == (end.type, end.time)


def test_an_order_is_what_the_last_event_made_it() -> None:
    assert order_id(1) == heard(event("InventoryReserved")).order_id
    assert heard(event("InventoryReserved")).placed is None
    assert order() == heard(event("InventoryReserved"), placed()).placed
