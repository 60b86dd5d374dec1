"""The documents of each service: how its states are written, and in which collection.

| collection     | one document a | written by |
| orders         | order          | order      |
| reservations   | order          | inventory  |
| stock          | product        | inventory  |
| payments       | order          | payment    |
| provider_ledger| charge         | the simulated payment provider, as its own books |
| stock_history  | change of a product's stock by hand | the web |
| users          | user           | the web    |
| notifications  | order and outcome, movie and milestone | notification |
| audit          | event          | audit      |
| movies         | movie          | movies: see movies.py |
| movie_views    | view of a movie| movies: see movies.py |
| dead_letters   | dead letter that was dealt with | the operator: see operating/handled.py |
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, IndexModel, InsertOne
from pymongo.errors import BulkWriteError

from app.domain.inventory import Reservation, ReservationStatus
from app.domain.notification import (
    Channel,
    MilestoneView,
    Notification,
    NotificationStatus,
    Occasion,
    OrderEnd,
    Recipient,
)
from app.domain.order import HistoryEntry, Order, OrderStatus
from app.domain.payment import Payment, PaymentStatus
from app.events import Item, OrderPlaced
from app.stores.mongo import DUPLICATE_KEY, Database, Document, DocumentStore, translated

ORDERS = "orders"
RESERVATIONS = "reservations"
STOCK = "stock"
PAYMENTS = "payments"
LEDGER = "provider_ledger"
STOCK_HISTORY = "stock_history"
USERS = "users"
NOTIFICATIONS = "notifications"
AUDIT = "audit"
MOVIES = "movies"
MOVIE_VIEWS = "movie_views"
DEAD_LETTERS = "dead_letters"


def index(*fields: str) -> IndexModel:
    """An index on the fields, which serves both directions when walked from its other end."""
    return IndexModel([(field, ASCENDING) for field in fields])


INDEXES: Mapping[str, Sequence[IndexModel]] = {
    # A filter of the listing, then the listing's order. Those of one status serve the listing of
    # sagas, the sweep for overdue orders and the count of pending ones, too. A user's orders are
    # few enough to be filtered by status as they are read: a fourth index would cost every order's
    # writes more than it saves.
    ORDERS: (
        index("acceptedAt", "_id"),
        index("userId", "acceptedAt", "_id"),
        index("status", "acceptedAt", "_id"),
    ),
    # The sweep for refused refunds.
    PAYMENTS: (index("status", "refundAt"),),
    STOCK_HISTORY: (index("productId", "token"),),
    # Those of a range of letters; how many of a topic; and those like one that is there again.
    DEAD_LETTERS: (
        index("topic", "partition", "offset"),
        index("topic", "state"),
        index("identity"),
    ),
}


async def ensure_indexes(database: Database) -> None:
    """Create the indexes that are missing; done again, it does nothing.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time. One that
            takes long goes on meanwhile.
    """
    for name, indexes in INDEXES.items():
        with translated():
            await database[name].create_indexes(list(indexes))


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


def notifications(database: Database) -> DocumentStore[Notification]:
    """What each order's user was told, and of which milestones of movies was told."""
    return DocumentStore(
        database[NOTIFICATIONS], encode=encode_notification, decode=decode_notification
    )


async def append_audit(database: Database, entries: Sequence[Document]) -> None:
    """Add the entries (`_id`: the event's id) that are not there yet; none is ever changed.

    Raises:
        TransientStoreError: they may not all have been added: add all of them again.
    """
    with translated():
        try:
            await database[AUDIT].bulk_write([InsertOne(e) for e in entries], ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            codes = {fault["code"] for fault in details.get("writeErrors", [])}
            if codes != {DUPLICATE_KEY} or details.get("writeConcernErrors"):
                raise


def encode_order(order: Order) -> Document:
    """Amounts in minor units; times are datetimes where they are queried, else texts."""
    fields: Document = {
        "status": order.status.value,
        "reason": order.reason,
        "history": [{"event": entry.event, "at": entry.at} for entry in order.history],
        "updatedAt": order.updated_at,
        "endedBy": order.ended_by,
        "cancelledBy": order.cancelled_by,
        "acceptedAt": order.accepted_at,
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
        cancelled_by=document.get("cancelledBy"),
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
        "refundAttempts": payment.refund_attempts,
        "refundAt": payment.refund_at,
        "refundDetail": payment.refund_detail,
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
        refund_attempts=document["refundAttempts"],
        refund_at=document["refundAt"],
        refund_detail=document["refundDetail"],
    )


def encode_notification(notification: Notification) -> Document:
    """The recipient stays as it was when the message was first claimed."""
    return {
        **_encode_occasion(notification.occasion),
        "status": notification.status.value,
        "channel": notification.channel.value,
        "recipient": {
            "address": notification.recipient.address,
            "name": notification.recipient.name,
        },
        "messageId": notification.message_id,
        "claimedAt": notification.claimed_at,
        "attempts": notification.attempts,
        "deferrals": notification.deferrals,
        "at": notification.at,
        "reason": notification.reason,
    }


def decode_notification(document: Mapping[str, Any]) -> Notification:
    """The notification of a document."""
    to = document["recipient"]
    return Notification(
        occasion=_decode_occasion(document),
        status=NotificationStatus(document["status"]),
        channel=Channel(document["channel"]),
        recipient=Recipient(to["address"], to["name"]),
        message_id=document["messageId"],
        claimed_at=document["claimedAt"],
        attempts=document["attempts"],
        deferrals=document["deferrals"],
        at=document["at"],
        reason=document["reason"],
    )


def _encode_occasion(occasion: Occasion) -> Document:
    match occasion:
        case OrderEnd(order_id, outcome):
            return {"orderId": order_id, "outcome": outcome}
        case MilestoneView(movie_id, milestone, view_id):
            return {"movieId": movie_id, "milestone": milestone, "viewId": view_id}


def _decode_occasion(document: Mapping[str, Any]) -> Occasion:
    if "orderId" in document:
        return OrderEnd(document["orderId"], document["outcome"])
    return MilestoneView(document["movieId"], document["milestone"], document["viewId"])
