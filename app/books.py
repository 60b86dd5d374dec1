"""The books: whether stock, orders, payments and the provider's own ledger tell one story.

They must balance once the system is at rest, whatever crashed on the way:

* of each product, what there was at first is available, reserved or sold, and nothing is reserved;
* what was sold is what the confirmed orders asked for;
* what was charged and not refunded is those orders' sum, here and, where its ledger can be read,
  at the provider, who charged each order at most once;
* every order has ended, and its reservation and its payment with it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.inventory import ReservationStatus
from app.domain.order import OrderStatus
from app.domain.payment import PaymentStatus
from app.money import text
from app.stores.mongo import Database, documents
from app.stores.repositories import LEDGER, ORDERS, PAYMENTS, RESERVATIONS, STOCK

Doc = Mapping[str, Any]

NOTHING_HELD = (
    None,
    ReservationStatus.REJECTED,
    ReservationStatus.RELEASED,
    ReservationStatus.VOID,
)
NOTHING_PAID = (None, PaymentStatus.FAILED, PaymentStatus.REFUNDED, PaymentStatus.VOID)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that does not agree: what (`product`, `order` or `sum`), which, and the figures."""

    kind: str
    key: str
    problem: str


@dataclass(slots=True)
class Books:
    """The totals, and everything that does not agree. Amounts in minor units, stock in units.

    Attributes:
        ledger: whether the provider's ledger was compared.
    """

    ledger: bool = True
    confirmed: int = 0
    pending: int = 0
    cancelled: Counter[str] = field(default_factory=Counter)
    revenue: int = 0
    products: int = 0
    initial: int = 0
    available: int = 0
    reserved: int = 0
    sold: int = 0
    ordered: int = 0
    charged: int = 0
    refunded: int = 0
    ledger_charged: int = 0
    ledger_refunded: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)

    @property
    def orders(self) -> int:
        """All orders."""
        return self.confirmed + self.pending + self.cancelled.total()

    @property
    def balanced(self) -> bool:
        """Whether everything agrees."""
        return not self.discrepancies


@dataclass(slots=True)
class _Order:
    status: str
    total: int | None
    units: int
    reservation: str | None = None
    payment: Doc | None = None
    charges: int = 0


def balance(
    *,
    orders: Iterable[Doc],
    reservations: Iterable[Doc],
    stock: Iterable[Doc],
    payments: Iterable[Doc],
    ledger: Iterable[Doc] | None,
) -> Books:
    """Check the documents of the five collections, as `app.stores` writes them.

    Args:
        ledger: the provider's; None where it keeps it to itself.
    """
    audit = Audit(ledger=ledger is not None)
    for note, docs in (
        (audit.order, orders),
        (audit.reservation, reservations),
        (audit.stock, stock),
        (audit.payment, payments),
        (audit.entry, ledger or ()),
    ):
        for doc in docs:
            note(doc)
    return audit.close()


class Audit:
    """The check under way: takes one document at a time, all orders first, payments before entries.

    Of an order it keeps a few figures only, so it can read books that don't fit into memory.

    Args:
        ledger: whether the provider's ledger is to be had, and so each payment must be in it.
    """

    def __init__(self, *, ledger: bool = True) -> None:
        self._books = Books(ledger=ledger)
        self._orders: dict[str, _Order] = {}
        self._ordered: Counter[str] = Counter()

    def end_of(self, order_id: str) -> tuple[str, int | None] | None:
        """Status and total of an order that was noted; None of one that was not."""
        order = self._orders.get(order_id)
        return None if order is None else (order.status, order.total)

    def order(self, doc: Doc) -> None:
        """Note an order."""
        key, status, books = doc["_id"], doc["status"], self._books
        if "items" not in doc:
            self._orders[key] = _Order(status, None, 0)
            books.pending += 1
            self._differs("order", key, "its steps were heard, the order itself was not")
            return
        units: Counter[str] = Counter()
        for product, quantity, _ in doc["items"]:
            units[product] += quantity
        self._orders[key] = _Order(status, doc["total"], _digest(units))
        worth = sum(quantity * price for _, quantity, price in doc["items"])
        if worth != doc["total"]:
            self._differs(
                "order",
                key,
                f"its items are worth {text(worth)}, its total is {text(doc['total'])}",
            )
        if status == OrderStatus.CONFIRMED:
            books.confirmed += 1
            books.revenue += doc["total"]
            self._ordered.update(units)
        elif status == OrderStatus.CANCELLED:
            books.cancelled[str(doc.get("reason"))] += 1
        else:
            books.pending += 1
            self._differs("order", key, f"it has not ended: {status}")

    def reservation(self, doc: Doc) -> None:
        """Note what became of an order's items."""
        order = self._order_of("a reservation", doc["_id"])
        if order is None:
            return
        order.reservation = doc["status"]
        # Of an order cancelled before anything was held, the reservation says just that.
        expected = _digest({}) if doc["status"] == ReservationStatus.VOID else order.units
        if order.total is not None and _digest(dict(doc["items"])) != expected:
            self._differs("order", doc["_id"], "its reservation is of other items or quantities")

    def stock(self, doc: Doc) -> None:
        """Note a product's stock."""
        key, books = doc["_id"], self._books
        available, sold, holds = doc["available"], doc["sold"], doc["holds"]
        initial = doc.get("initial")
        reserved, ordered = sum(holds.values()), self._ordered.pop(key, 0)
        books.products += 1
        books.initial += initial or 0
        books.available += available
        books.reserved += reserved
        books.sold += sold
        books.ordered += ordered
        if initial != available + reserved + sold:
            self._differs(
                "product",
                key,
                f"initial {initial}, but available {available} + reserved {reserved} + sold {sold}"
                f" = {available + reserved + sold}",
            )
        if holds:
            names = ", ".join(f"{order}: {units}" for order, units in sorted(holds.items()))
            self._differs("product", key, f"reserved {reserved} at rest, held by {names}")
        if available < 0 or sold < 0:
            self._differs("product", key, f"below zero: available {available}, sold {sold}")
        if sold != ordered:
            self._differs("product", key, f"sold {sold}, confirmed orders ask for {ordered}")

    def payment(self, doc: Doc) -> None:
        """Note an order's payment."""
        order = self._order_of("a payment", doc["_id"])
        amount, status = doc["amount"], doc["status"]
        if status not in (PaymentStatus.FAILED, PaymentStatus.VOID):
            self._books.charged += amount
        if status == PaymentStatus.REFUNDED:
            self._books.refunded += amount
        if order is None:
            return
        order.payment = doc
        # Of an order cancelled before anything was charged, the payment is of nothing.
        due = 0 if status == PaymentStatus.VOID else order.total
        if order.total is not None and amount != due:
            self._differs(
                "order",
                doc["_id"],
                f"payment {status} of {text(amount)}, its total is {text(order.total)}",
            )

    def entry(self, doc: Doc) -> None:
        """Note an entry of the provider's ledger."""
        key, amount, ok = doc["orderId"], doc["amount"], doc["ok"]
        refunded = doc.get("refundedAt") is not None
        if ok:
            self._books.ledger_charged += amount
        if ok and refunded:
            self._books.ledger_refunded += amount
        order = self._order_of("an entry in the provider's ledger", key)
        if order is None:
            return
        order.charges += 1
        if order.charges > 1:
            self._differs("order", key, f"{order.charges} entries in the provider's ledger")
        theirs = _entered(ok=ok, refunded=refunded)
        if order.payment is None:
            self._differs("order", key, f"no payment, but {theirs} {text(amount)} at the provider")
            return
        ours = order.payment["status"]
        if ours == PaymentStatus.VOID and theirs in NOTHING_PAID:
            # A crash came between the provider's answer and the payment, and a cancellation after.
            return
        if theirs != ours or amount != order.payment["amount"]:
            self._differs(
                "order",
                key,
                f"payment {ours} {text(order.payment['amount'])}, "
                f"at the provider {theirs} {text(amount)}",
            )

    def close(self) -> Books:
        """What remains: each order against its steps, and the sums."""
        for key, order in self._orders.items():
            self._steps(key, order)
        for product, units in sorted(self._ordered.items()):
            self._books.ordered += units
            self._differs("product", product, f"no stock, but confirmed orders ask for {units}")
        books = self._books
        sums = {"payments": books.charged - books.refunded}
        if books.ledger:
            sums["the provider's ledger"] = books.ledger_charged - books.ledger_refunded
        for whose, net in sums.items():
            if net != books.revenue:
                self._differs(
                    "sum",
                    whose,
                    f"charged less refunded is {text(net)}, "
                    f"confirmed orders are worth {text(books.revenue)}",
                )
        return books

    def _steps(self, key: str, order: _Order) -> None:
        payment = order.payment["status"] if order.payment else None
        if order.status == OrderStatus.CONFIRMED:
            stock_agrees = order.reservation == ReservationStatus.SETTLED
            money_agrees = payment == PaymentStatus.CHARGED
        elif order.status == OrderStatus.CANCELLED:
            stock_agrees = order.reservation in NOTHING_HELD
            money_agrees = payment in NOTHING_PAID
        else:
            return
        if not stock_agrees:
            self._differs("order", key, f"{order.status}, but its stock is {order.reservation}")
        if not money_agrees:
            self._differs("order", key, f"{order.status}, but its payment is {payment}")
        expected = self._books.ledger and payment not in (None, PaymentStatus.VOID)
        if expected and not order.charges:
            self._differs("order", key, f"payment {payment}, but nothing in the provider's ledger")

    def _order_of(self, what: str, key: str) -> _Order | None:
        order = self._orders.get(key)
        if order is None:
            self._differs("order", key, f"there is {what}, but no such order")
        return order

    def _differs(self, kind: str, key: str, problem: str) -> None:
        self._books.discrepancies.append(Discrepancy(kind, key, problem))


def _digest(units: Mapping[str, int]) -> int:
    # One integer for a whole order's quantities: enough to tell whether they are the same.
    return hash(frozenset(units.items()))


def _entered(*, ok: bool, refunded: bool) -> str:
    """What a ledger's entry says, in a payment's words."""
    if not ok:
        # The provider never gives back what it never took: no payment is ever in that state.
        return "FAILED and given back" if refunded else PaymentStatus.FAILED
    return PaymentStatus.REFUNDED if refunded else PaymentStatus.CHARGED


async def load(database: Database, *, ledger: bool = True) -> Books:
    """Check the books of a database; `audited`, to its end."""
    return (await audited(database, ledger=ledger)).close()


async def audited(database: Database, *, ledger: bool = True) -> Audit:
    """The check of a database's books; what remains is to close it.

    Args:
        ledger: whether the provider keeps its ledger there; one over HTTP keeps it to itself.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    audit = Audit(ledger=ledger)
    for note, name, fields in (
        (audit.order, ORDERS, ("status", "reason", "items", "total")),
        (audit.reservation, RESERVATIONS, ("status", "items")),
        (audit.stock, STOCK, ("available", "holds", "sold", "initial")),
        (audit.payment, PAYMENTS, ("amount", "status")),
        (audit.entry, LEDGER, ("orderId", "amount", "ok", "refundedAt")),
    ):
        async for doc in documents(database[name], {}, dict.fromkeys(fields, 1)):
            note(doc)
    return audit
