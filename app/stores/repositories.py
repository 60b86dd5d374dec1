"""The documents of each service: how its states are written, and in which collection.

| collection     | one document a | written by |
| orders         | order          | order      |
| reservations   | order          | inventory  |
| stock          | product        | inventory  |
| payments       | order          | payment    |
| provider_ledger| charge         | the simulated payment provider, as its own books |
"""

from collections.abc import Mapping
from typing import Any

from app.domain.inventory import Reservation, ReservationStatus
from app.domain.order import HistoryEntry, Order, OrderStatus
from app.domain.payment import Payment, PaymentStatus
from app.events import Item, OrderPlaced
from app.stores.mongo import Database, Document, DocumentStore

ORDERS = "orders"
RESERVATIONS = "reservations"
STOCK = "stock"
PAYMENTS = "payments"
LEDGER = "provider_ledger"


def orders(database: Database) -> DocumentStore[Order]:
    """The orders, as their sagas' events tell them."""
    return DocumentStore(database[ORDERS], encode=encode_order, decode=decode_order)


def reservations(database: Database) -> DocumentStore[Reservation]:
    """What was held, sold or refused for each order."""
    return DocumentStore(
        database[RESERVATIONS], encode=encode_reservation, decode=decode_reservation
    )


def payments(database: Database) -> DocumentStore[Payment]:
    """Each order's payment."""
    return DocumentStore(database[PAYMENTS], encode=encode_payment, decode=decode_payment)


def encode_order(order: Order) -> Document:
    """Amounts in minor units; times are datetimes where they are queried, else texts."""
    fields: Document = {
        "status": order.status.value,
        "reason": order.reason,
        "history": [{"event": entry.event, "at": entry.at} for entry in order.history],
        "updatedAt": order.updated_at,
        "endedBy": order.ended_by,
    }
    if order.placed is not None:
        placed = order.placed
        fields |= {
            "userId": placed.user_id,
            "items": [[i.product_id, i.quantity, i.price] for i in placed.items],
            "total": placed.total,
            "country": placed.country,
            "placedAt": placed.placed_at,
            "fingerprint": placed.fingerprint,
        }
    return fields


def decode_order(document: Mapping[str, Any]) -> Order:
    """The order of a document; one of which only steps were heard has no `items` yet."""
    placed = None
    if "items" in document:
        placed = OrderPlaced.model_construct(
            order_id=document["_id"],
            user_id=document["userId"],
            items=tuple(
                Item.model_construct(product_id=product, quantity=quantity, price=price)
                for product, quantity, price in document["items"]
            ),
            total=document["total"],
            country=document["country"],
            placed_at=document["placedAt"],
            fingerprint=document["fingerprint"],
        )
    return Order(
        order_id=document["_id"],
        placed=placed,
        status=OrderStatus(document["status"]),
        reason=document["reason"],
        history=tuple(HistoryEntry(e["event"], e["at"]) for e in document["history"]),
        ended_by=document["endedBy"],
    )


def encode_reservation(reservation: Reservation) -> Document:
    """Items as pairs, since a product's id may hold characters that a field's name may not."""
    return {
        "status": reservation.status.value,
        "items": [[product, quantity] for product, quantity in reservation.items.items()],
        "at": reservation.at,
        "reason": reservation.reason,
        "short": list(reservation.short),
        "endedAt": reservation.ended_at,
    }


def decode_reservation(document: Mapping[str, Any]) -> Reservation:
    """The reservation of a document."""
    return Reservation(
        order_id=document["_id"],
        status=ReservationStatus(document["status"]),
        items=dict(document["items"]),
        at=document["at"],
        reason=document["reason"],
        short=tuple(document["short"]),
        ended_at=document["endedAt"],
    )


def encode_payment(payment: Payment) -> Document:
    """`amount` in minor units."""
    return {
        "amount": payment.amount,
        "status": payment.status.value,
        "at": payment.at,
        "paymentId": payment.payment_id,
        "detail": payment.detail,
        "refundedAt": payment.refunded_at,
    }


def decode_payment(document: Mapping[str, Any]) -> Payment:
    """The payment of a document."""
    return Payment(
        order_id=document["_id"],
        amount=document["amount"],
        status=PaymentStatus(document["status"]),
        at=document["at"],
        payment_id=document["paymentId"],
        detail=document["detail"],
        refunded_at=document["refundedAt"],
    )
