"""Books of a small shop balance, and no single corrupted figure goes unnoticed."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.books import Books, balance

PRODUCTS = ("A", "B", "C")
INITIAL = 1000
AT = "2024-01-01T00:00:00.000000Z"

# How an order may end: its status, its reservation's, its payment's.
FATES = {
    "confirmed": ("CONFIRMED", "SETTLED", "CHARGED"),
    "out of stock": ("CANCELLED", "REJECTED", None),
    "declined": ("CANCELLED", "RELEASED", "FAILED"),
    "declined first": ("CANCELLED", None, "FAILED"),
    "refunded": ("CANCELLED", "REJECTED", "REFUNDED"),
    "cancelled at once": ("CANCELLED", "VOID", "VOID"),
    "cancelled when held": ("CANCELLED", "RELEASED", "VOID"),
    "cancelled when held and charged": ("CANCELLED", "RELEASED", "REFUNDED"),
    "cancelled when charged": ("CANCELLED", "VOID", "REFUNDED"),
    "cancelled when out of stock": ("CANCELLED", "REJECTED", "VOID"),
    "cancelled when declined first": ("CANCELLED", "VOID", "FAILED"),
}

Documents = list[dict[str, Any]]


@dataclass
class Shop:
    """The documents of a system at rest, by collection."""

    orders: Documents = field(default_factory=list)
    reservations: Documents = field(default_factory=list)
    stock: Documents = field(default_factory=list)
    payments: Documents = field(default_factory=list)
    ledger: Documents | None = field(default_factory=list)

    def books(self) -> Books:
        return balance(**vars(self))

    def take(self, items: list[tuple[str, int, int]], fate: str) -> None:
        status, reservation, payment = FATES[fate]
        key = f"order-{len(self.orders)}"
        total = sum(quantity * price for _, quantity, price in items)
        reason = None if status == "CONFIRMED" else fate
        self.orders.append(
            {
                "_id": key,
                "status": status,
                "reason": reason,
                "items": [list(i) for i in items],
                "total": total,
            }
        )
        units: Counter[str] = Counter()
        for product, quantity, _ in items:
            units[product] += quantity
        if reservation:
            held = [[product, quantity] for product, quantity in units.items()]
            if reservation == "VOID":
                held = []
            self.reservations.append({"_id": key, "status": reservation, "items": held})
        if payment == "VOID":
            self.payments.append({"_id": key, "status": payment, "amount": 0})
        elif payment:
            self.payments.append({"_id": key, "status": payment, "amount": total})
            entry = {
                "_id": key,
                "orderId": key,
                "amount": total,
                "ok": payment != "FAILED",
                "at": AT,
            }
            assert self.ledger is not None
            self.ledger.append(entry | ({"refundedAt": AT} if payment == "REFUNDED" else {}))
        if status == "CONFIRMED":
            for stock in self.stock:
                stock["available"] -= units[stock["_id"]]
                stock["sold"] += units[stock["_id"]]


items = st.lists(
    st.tuples(st.sampled_from(PRODUCTS), st.integers(1, 9), st.integers(1, 5000)),
    min_size=1,
    max_size=4,
)
fates = st.sampled_from(sorted(FATES))


@st.composite
def shops(draw: st.DrawFn, least: int = 0) -> Shop:
    shop = Shop(
        stock=[
            {"_id": product, "available": INITIAL, "holds": {}, "sold": 0, "initial": INITIAL}
            for product in PRODUCTS
        ]
    )
    for ordered, fate in draw(st.lists(st.tuples(items, fates), min_size=least, max_size=6)):
        shop.take(ordered, fate)
    return shop


# The figures of each collection's documents, as paths into them.
FIGURES: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "orders": (("total",), ("items", 0, 1), ("items", 0, 2)),
    "reservations": (("items", 0, 1),),
    "stock": (("available",), ("sold",), ("initial",)),
    "payments": (("amount",),),
    "ledger": (("amount",),),
}


@given(shops())
def test_the_books_of_a_shop_at_rest_balance(shop: Shop) -> None:
    books = shop.books()

    assert [] == books.discrepancies
    assert books.initial == books.available + books.sold
    assert books.sold == books.ordered
    assert books.revenue == books.charged - books.refunded
    assert len(shop.orders) == books.orders


@given(shops())
def test_the_books_balance_without_a_ledger_that_the_provider_keeps_to_itself(shop: Shop) -> None:
    shop.ledger = None

    books = shop.books()

    assert [] == books.discrepancies
    assert not books.ledger
    for payment in shop.payments[:1]:
        payment["amount"] += 1
        assert not shop.books().balanced


@given(st.data(), shops(least=1), st.integers(-5000, 5000).filter(bool))
def test_any_single_corrupted_figure_is_found(data: st.DataObject, shop: Shop, by: int) -> None:
    places = [
        (document, path)
        for name, paths in FIGURES.items()
        for document in getattr(shop, name)
        for path in paths
        if not (name == "reservations" and document["status"] == "VOID")
    ]
    document, path = data.draw(st.sampled_from(places))
    *way, last = path
    for step in way:
        document = document[step]
    document[last] += by

    assert not shop.books().balanced


@given(st.data(), shops(least=1))
def test_any_single_lost_document_is_found(data: st.DataObject, shop: Shop) -> None:
    name = data.draw(
        st.sampled_from([n for n in ("orders", "payments", "ledger") if vars(shop)[n]])
    )
    documents = getattr(shop, name)
    index = data.draw(st.integers(0, len(documents) - 1))
    # A void payment says no more than none does.
    assume(documents[index].get("status") != "VOID")
    key = documents[index]["_id"]
    del documents[index]

    others = {d["_id"] for n in ("reservations", "payments") for d in getattr(shop, n)}
    # Of an order that nobody else knows, nothing is left to tell.
    assert not shop.books().balanced or (name == "orders" and key not in others)


@given(st.data(), shops(least=1))
def test_a_charge_entered_twice_is_found(data: st.DataObject, shop: Shop) -> None:
    if not shop.ledger:
        shop.take([("A", 1, 100)], "confirmed")
    entry = deepcopy(data.draw(st.sampled_from(shop.ledger)))
    shop.ledger.append(entry | {"_id": "another-key"})

    problems = [one.problem for one in shop.books().discrepancies]

    assert any("2 entries" in problem for problem in problems)


@given(shops(), items, st.sampled_from(["stock", "money"]), st.data())
def test_a_cancelled_order_holds_neither_stock_nor_money(
    shop: Shop, ordered: list[tuple[str, int, int]], what: str, data: st.DataObject
) -> None:
    shop.take(ordered, "refunded")
    if what == "stock":
        status = data.draw(st.sampled_from(["RESERVED", "SETTLED"]))
        shop.reservations[-1]["status"] = status
    else:
        shop.payments[-1]["status"] = status = "CHARGED"
        del shop.ledger[-1]["refundedAt"]

    found = shop.books().discrepancies

    assert any(one.key == shop.orders[-1]["_id"] and status in one.problem for one in found)


@given(shops(), items)
def test_an_order_that_has_not_ended_is_found(
    shop: Shop, ordered: list[tuple[str, int, int]]
) -> None:
    shop.take(ordered, "declined")
    shop.orders[-1]["status"] = "PENDING"

    books = shop.books()

    assert 1 == books.pending
    assert not books.balanced


@given(shops(), st.integers(1, 9))
def test_units_still_held_are_found(shop: Shop, units: int) -> None:
    shop.stock[0]["holds"] = {"order-x": units}
    shop.stock[0]["available"] -= units

    found = shop.books().discrepancies

    assert [("product", "A")] == [(one.kind, one.key) for one in found]
    assert f"order-x: {units}" in found[0].problem


@pytest.mark.parametrize("ok", [True, False])
def test_a_ledger_entry_without_an_order_is_found(ok: bool) -> None:
    entry = {"_id": "x", "orderId": "x", "amount": 500, "ok": ok, "at": AT}

    found = Shop(ledger=[entry]).books().discrepancies

    assert ("order", "x") == (found[0].kind, found[0].key)


@given(shops(), items, st.sampled_from(["CHARGED", "REFUNDED", "FAILED"]))
def test_a_void_payment_with_money_at_the_provider_is_found(
    shop: Shop, ordered: list[tuple[str, int, int]], theirs: str
) -> None:
    shop.take(ordered, "cancelled at once")
    key, total = shop.orders[-1]["_id"], shop.orders[-1]["total"]
    entry = {"_id": key, "orderId": key, "amount": total, "ok": theirs != "FAILED", "at": AT}
    shop.ledger.append(entry | ({"refundedAt": AT} if theirs == "REFUNDED" else {}))

    found = shop.books().discrepancies

    named = any(one.key == key and "payment VOID" in one.problem for one in found)
    assert named == (theirs == "CHARGED")


@given(shops(), items, st.data())
def test_a_void_reservation_or_payment_of_a_confirmed_order_is_found(
    shop: Shop, ordered: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    shop.take(ordered, "confirmed")
    documents = data.draw(st.sampled_from([shop.reservations, shop.payments]))
    documents[-1]["status"] = "VOID"

    assert not shop.books().balanced
