"""Each way in which the log can tell two stories of an order, planted and found."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.books import Books
from app.books_of_log import (
    DISCREPANCIES_KEPT,
    LogBooks,
    Window,
    compare,
    compare_analytics,
)
from app.codec import encode
from app.events import timestamp
from app.saga import INVENTORY_FIRST, PAYMENT_FIRST, Saga
from app.saga_story import Logged, logged
from app.topics import ORDER, PAYMENT
from tests.builders import PRICE, START, after, order, order_id, placed
from tests.logbook import SECOND, Played, altered, books, problems, record, without

CONFIRMED, CANCELLED = ("CONFIRMED", PRICE), ("CANCELLED", PRICE)
Log = list[Logged]


def log_of(table: Saga = INVENTORY_FIRST, *, fails: str | None = None) -> Log:
    """The log of one order; one of its steps fails, or none."""
    played = Played.of(table, apple=5)
    if fails is not None:
        played.world.let_fail(fails, order_id(1))
    played.order(order())
    return played.run().records()


def end(kind: str) -> Logged:
    """Such an end, of the same order, from nowhere."""
    return record(after(placed(), kind, timestamp(START), of=order()))


def test_orders_that_ended_well_are_added_up() -> None:
    played = Played.of(INVENTORY_FIRST, apple=2)
    for number in (1, 2, 3):
        played.order(order({"apple": 1}, number=number))
    played.world.let_fail("payment", order_id(2))

    found = books([*played.run().records(), None], INVENTORY_FIRST)

    assert [] == problems(found)
    assert (3, 1, 1) == (found.orders, found.confirmed, found.foreign)
    assert {"PAYMENT_FAILED": 1, "OUT_OF_STOCK": 1} == found.cancelled
    assert (PRICE, PRICE, 0, 1) == (found.revenue, found.charged, found.refunded, found.units)
    assert len(played.log) + 1 == found.records


@pytest.mark.parametrize("table", [INVENTORY_FIRST, PAYMENT_FIRST], ids=["inventory", "payment"])
@pytest.mark.parametrize("fails", [None, "inventory", "payment"])
def test_records_read_twice_and_in_any_order_are_the_same_story(
    table: Saga, fails: str | None
) -> None:
    log = log_of(table, fails=fails)

    found = books([*reversed(log), *log], table)

    assert [] == problems(found)
    assert 1 == found.orders


def second_end(log: Log) -> Log:
    return [*log, end("OrderCancelled")]


def end_under_another_id(log: Log) -> Log:
    return [*log, replace(end("OrderConfirmed"), id=4711)]


def other_content(log: Log) -> Log:
    return [*log, replace(log[1], content=4711)]


def without_payment(log: Log) -> Log:
    return without(log, "PaymentProcessed")


def refunded_after_all(log: Log) -> Log:
    return [*log, record(after(placed(), "PaymentRefunded", timestamp(START), of=order()))]


def never_placed(log: Log) -> Log:
    return without(log, "OrderPlaced")


def of_another_amount(log: Log) -> Log:
    return altered(log, "OrderConfirmed", amount=PRICE + 1)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (second_end, "two ends: OrderConfirmed and OrderCancelled"),
        (end_under_another_id, "OrderConfirmed is there under 2 ids"),
        (other_content, "one event id has two contents"),
        (without_payment, "OrderConfirmed without PaymentProcessed"),
        (without_payment, "the cause of OrderConfirmed is not in the log"),
        (refunded_after_all, "OrderConfirmed, although there is PaymentRefunded"),
        (never_placed, "its events are there, OrderPlaced is not"),
        (of_another_amount, "OrderConfirmed is of 2.56, ordered were 2.55"),
    ],
)
def test_a_fault_in_the_log_of_a_confirmed_order_is_found(
    plant: Callable[[Log], Log], words: str
) -> None:
    found = books(plant(log_of()), INVENTORY_FIRST)

    assert any(words in problem for problem in problems(found)), problems(found)
    assert {order_id(1)} == {each.key for each in found.discrepancies}


@pytest.mark.parametrize(
    ("table", "fails", "missing", "words"),
    [
        (
            INVENTORY_FIRST,
            "payment",
            "InventoryReleased",
            "OrderCancelled, but its stock is still held: no InventoryReleased",
        ),
        (
            PAYMENT_FIRST,
            "inventory",
            "PaymentRefunded",
            "OrderCancelled, but its money was not given back: no PaymentRefunded",
        ),
        (
            INVENTORY_FIRST,
            "inventory",
            "InventoryRejected",
            "OrderCancelled without a cause: no step failed, and nobody cancelled",
        ),
        (PAYMENT_FIRST, "inventory", "PaymentProcessed", "PaymentRefunded of 2.55 without"),
    ],
)
def test_a_fault_in_the_log_of_a_cancelled_order_is_found(
    table: Saga, fails: str, missing: str, words: str
) -> None:
    log = log_of(table, fails=fails)
    assert [] == problems(books(log, table))

    found = problems(books(without(log, missing), table))

    assert any(words in problem for problem in found), found


def test_what_was_given_back_is_what_was_charged() -> None:
    log = altered(log_of(PAYMENT_FIRST, fails="inventory"), "PaymentRefunded", amount=5)

    expected = ["PaymentRefunded of 0.05, but PaymentProcessed was of 2.55"]
    assert expected == problems(books(log, PAYMENT_FIRST))


def test_a_step_that_never_began_promises_an_order_that_is_cancelled_never_to() -> None:
    played = Played.of(INVENTORY_FIRST, apple=5)
    played.order(order())
    played.move(lambda: played.world.cancel(order_id(1), "CANCELLED_BY_USER"))
    for _ in range(2):
        played.move(lambda: played.world.deliver("order", ORDER.name))
    log = played.run().records()
    assert [] == problems(books(log, INVENTORY_FIRST))

    found = problems(books(without(log, "PaymentProcessed", "PaymentRefunded"), INVENTORY_FIRST))

    assert "OrderCancelled without PaymentRefunded" in found


def test_an_order_placed_again_at_another_moment_is_the_same_order() -> None:
    again = order().model_copy(update={"placed_at": START.replace(year=2012)})
    event = placed()
    first, second = record(event), record(replace(event, data=again))

    assert first.content == second.content


def test_what_is_no_event_of_its_topic_is_none() -> None:
    sent = encode(placed())

    def read(**changes: object) -> Logged | None:
        given = {"key": sent.key, "value": sent.value, "headers": sent.headers, **changes}
        return logged(ORDER, at=1, **given)

    assert read() is not None
    assert read(headers=[]) is None
    assert read(value=b"not an order") is None
    assert read(value=None) is None
    assert read(value=b"[]") is None
    assert read(key=b"another") is None
    assert logged(PAYMENT, sent.key, sent.value, sent.headers, 1) is None


def test_of_an_order_whose_beginning_is_deleted_nothing_is_missed_but_contradictions() -> None:
    log = log_of()
    cut = [each for each in log if each.type != "OrderPlaced"]
    window = Window(since=log[-1].at + SECOND)

    found = books(cut, INVENTORY_FIRST, window)
    contradicting = books([*cut, end("OrderCancelled")], INVENTORY_FIRST, window)

    assert ([], 1) == (problems(found), found.cut)
    assert ["two ends: OrderConfirmed and OrderCancelled"] == problems(contradicting)


def test_a_step_said_once_more_after_its_undoing_is_no_stock_held_where_that_is_deleted() -> None:
    log = log_of(fails="payment")
    reserved = next(each for each in log if each.type == "InventoryReserved")
    again = replace(reserved, at=log[-1].at + SECOND)
    cut = [*without(log, "InventoryReserved", "InventoryReleased"), again]

    found = books(cut, INVENTORY_FIRST, Window(since=again.at))

    assert [] == problems(found)
    assert [] != problems(books(cut, INVENTORY_FIRST))


def test_of_an_order_under_way_nothing_is_missed_but_contradictions() -> None:
    log = without(log_of(), "PaymentProcessed")

    found = books(log, INVENTORY_FIRST, Window(until=log[-1].at))
    later = books(log, INVENTORY_FIRST, Window(until=log[-1].at + 1))

    assert [] == problems(found)
    assert [] != problems(later)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (CONFIRMED, []),
        (CANCELLED, ["CONFIRMED by the log, CANCELLED in the store"]),
        (("PENDING", PRICE), ["CONFIRMED by the log, PENDING in the store"]),
        (("CONFIRMED", 1), ["2.55 by the log, 0.01 in the store"]),
        (None, ["it is in the log, and there is no such order in the store"]),
    ],
)
def test_the_end_in_the_log_is_that_in_the_store(
    stored: tuple[str, int] | None, expected: list[str]
) -> None:
    assert expected == problems(books(log_of(), INVENTORY_FIRST, end_of=lambda _: stored))


def test_an_end_in_the_store_that_was_never_said_is_found() -> None:
    log = without(log_of(), "OrderConfirmed")

    found = books(log, INVENTORY_FIRST, end_of=lambda _: CONFIRMED)
    pending = books(log, INVENTORY_FIRST, end_of=lambda _: ("PENDING", PRICE))

    assert ["CONFIRMED in the store, and no such end in the log"] == problems(found)
    assert ([], 1) == (problems(pending), pending.under_way)


def test_sums_that_differ_are_named_with_both_figures() -> None:
    log = LogBooks(orders=2, confirmed=2, revenue=500, charged=500, units=3)
    stores = Books(confirmed=2, revenue=400, charged=500, ordered=3)
    summary = {"orders": 2, "confirmed": 1, "cancelled": 1, "revenue": 5.0}

    assert [("revenue", "5.00 by the topics, 4.00 by the stores")] == [
        (each.key, each.problem) for each in compare(log, stores)
    ]
    assert ["confirmed", "cancelled"] == [each.key for each in compare_analytics(log, summary)]


def test_of_a_log_in_ruins_the_first_are_named_and_all_are_counted() -> None:
    found = LogBooks()
    for number in range(DISCREPANCIES_KEPT + 5):
        found.differs("order", str(number), "wrong")

    assert (DISCREPANCIES_KEPT, 5) == (len(found.discrepancies), found.unlisted)
    assert not found.balanced
