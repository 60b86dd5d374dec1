"""How orders, stock and payments look outside: camelCase, decimal amounts, ISO 8601 UTC."""

from datetime import UTC, datetime
from typing import Any

from app.domain.inventory import Stock
from app.domain.order import Order
from app.domain.payment import Payment
from app.events import OrderPlaced
from app.money import to_major
from app.saga import Saga


def iso(at: datetime) -> str:
    """`at` in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def acceptance(placed: OrderPlaced) -> dict[str, Any]:
    """The answer to a post; follows from the order alone, so that it can be given again."""
    return {
        "orderId": placed.order_id,
        "userId": placed.user_id,
        "status": "PENDING",
        "total": to_major(placed.total),
        "placedAt": iso(placed.placed_at),
        "correlationId": placed.order_id,
    }


def order_document(order: Order, saga: Saga) -> dict[str, Any]:
    """An order that was placed."""
    placed = order.placed
    assert placed is not None
    document: dict[str, Any] = {
        "orderId": order.order_id,
        "userId": placed.user_id,
        "items": [
            {"productId": i.product_id, "quantity": i.quantity, "price": to_major(i.price)}
            for i in placed.items
        ],
        "total": to_major(placed.total),
        "country": placed.country,
        "status": order.status.value,
    }
    if order.reason is not None:
        document["reason"] = order.reason
    return document | {
        "placedAt": iso(placed.placed_at),
        "updatedAt": order.updated_at,
        "correlationId": order.order_id,
        "saga": {
            "order": [step.name for step in saga.steps],
            "step": saga.current(order.seen),
            "state": saga.state(order.seen).value,
        },
        "history": [{"event": entry.event, "at": entry.at} for entry in order.history],
    }


def stock_document(stock: Stock) -> dict[str, Any]:
    """A product's stock, in units."""
    return {
        "productId": stock.product_id,
        "available": stock.available,
        "reserved": stock.reserved,
        "sold": stock.sold,
    }


def payment_document(payment: Payment) -> dict[str, Any]:
    """An order's payment."""
    document: dict[str, Any] = {
        "orderId": payment.order_id,
        "amount": to_major(payment.amount),
        "status": payment.status.value,
        "at": payment.at,
    }
    more = {
        "paymentId": payment.payment_id,
        "detail": payment.detail,
        "refundedAt": payment.refunded_at,
    }
    return document | {name: value for name, value in more.items() if value is not None}
