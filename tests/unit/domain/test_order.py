"""The order service's decisions, one at a time; see also the properties."""

from app.domain.order import HistoryEntry, Order, OrderStatus, decide
from app.events import Event, OrderCancelled, OrderCancelling
from app.saga import INVENTORY_FIRST, Saga
from tests.builders import BY_USER, TIMEOUT, after, order, order_id, placed
from tests.unit.saga.stories import both_tables

AT = "2011-12-09T12:00:00.000000Z"


def event(kind: str, at: str = AT, reason: str | None = None) -> Event:
    return after(placed(), kind, at, of=order(), reason=reason)


def heard(*events: Event, table: Saga = INVENTORY_FIRST) -> Order:
    state: Order | None = None
    for now, each in enumerate(events):
        state = decide(state, each, table, f"decided {now}").state
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


REQUEST = event("CancellationRequested", reason=BY_USER)
TOO_LATE = event("CancellationRequested", reason=TIMEOUT)


@both_tables
def test_an_order_under_way_is_cancelled_when_it_is_asked_for_with_the_time_of_deciding(
    table: Saga,
) -> None:
    first, _ = table.steps
    for before in ([], [event(first.done)]):
        waiting = heard(placed(), *before, table=table)

        decision = decide(waiting, REQUEST, table, "now")

        assert decision.state is not None
        assert (OrderStatus.PENDING, BY_USER, REQUEST.id) == (
            decision.state.status,
            decision.state.reason,
            decision.state.cancelled_by,
        )
        assert HistoryEntry("OrderCancelling", "now") == decision.state.history[-1]
        (told,) = decision.events
        assert OrderCancelling(order_id=order_id(1), reason=BY_USER) == told.data
        assert ("now", REQUEST.id) == (told.time, told.causation_id)


@both_tables
def test_a_request_heard_again_is_answered_in_the_same_words_even_after_the_end(
    table: Saga,
) -> None:
    granted = heard(placed(at="1"), REQUEST, table=table)
    undone = [event(step.undone) for step in table.steps]
    ended = heard(placed(at="1"), REQUEST, *undone, table=table)
    assert OrderStatus.CANCELLED is ended.status

    for state in (granted, ended):
        decision = decide(state, REQUEST, table, "much later")
        assert state is decision.state
        assert [("OrderCancelling", "decided 1")] == [(e.type, e.time) for e in decision.events]


@both_tables
def test_the_first_request_that_is_heard_is_the_reason_and_the_others_change_nothing(
    table: Saga,
) -> None:
    cancelling = heard(placed(), TOO_LATE, table=table)

    decision = decide(cancelling, REQUEST, table, AT)

    assert cancelling is decision.state
    assert () == decision.events
    assert TIMEOUT == cancelling.reason


@both_tables
def test_a_request_is_ignored_once_the_saga_goes_back_or_has_ended(table: Saga) -> None:
    first, second = table.steps
    for course in (
        [first.failed],
        [first.done, second.failed],
        [first.done, second.failed, first.undone],
        [first.done, second.done],
    ):
        state = heard(placed(), *map(event, course), table=table)

        decision = decide(state, REQUEST, table, AT)

        assert state is decision.state
        assert () == decision.events


@both_tables
def test_an_order_that_was_not_placed_is_not_cancelled(table: Saga) -> None:
    assert decide(None, REQUEST, table, AT).state is None
    unplaced = heard(event(table.steps[0].done), table=table)
    assert unplaced is decide(unplaced, REQUEST, table, AT).state


@both_tables
def test_a_cancelled_order_ends_when_every_step_is_undone_or_has_failed(table: Saga) -> None:
    first, second = table.steps
    for last in (second.undone, second.failed):
        waiting = heard(placed(), REQUEST, event(first.undone), event(first.done), table=table)
        assert OrderStatus.PENDING is waiting.status

        ended = decide(waiting, event(last), table, AT)

        (told,) = ended.events
        assert isinstance(told.data, OrderCancelled)
        assert BY_USER == told.data.reason


@both_tables
def test_a_cancelled_order_is_not_confirmed_though_all_its_steps_are_done(table: Saga) -> None:
    done = [event(step.done) for step in table.steps]

    state = heard(placed(), REQUEST, *done, table=table)

    assert OrderStatus.PENDING is state.status
    assert "OrderConfirmed" not in state.seen


@both_tables
def test_what_is_heard_late_of_a_cancelled_order_is_history_and_nothing_more(table: Saga) -> None:
    """A step's done event after its undone one, before the end and after it."""
    first, second = table.steps
    undone = [event(first.undone), event(second.undone)]
    ended = heard(placed(), REQUEST, *undone, table=table)

    for late in (first.done, second.done, second.failed):
        decision = decide(ended, event(late), table, AT)
        assert decision.state is not None
        assert (OrderStatus.CANCELLED, BY_USER) == (decision.state.status, decision.state.reason)
        assert HistoryEntry(late, AT) == decision.state.history[-1]
        assert () == decision.events


def test_when_an_order_was_accepted_is_known_once_it_was_heard_of() -> None:
    assert heard(event("InventoryReserved")).accepted_at is None
    assert "then" == heard(event("InventoryReserved"), placed(at="then")).accepted_at
