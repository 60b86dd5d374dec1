"""How orders, stock and payments look outside: camelCase, decimal amounts, ISO 8601 UTC."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.domain.inventory import Stock
from app.domain.movies import Movie
from app.domain.order import Order
from app.domain.payment import Payment, PaymentStatus
from app.events import MovieViewed, OrderPlaced
from app.money import to_major
from app.saga import Saga, Step
from app.stores.stock_history import StockChange
from app.stores.users import User


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
        "history": _history(order),
    }


def cancelling(order_id: str) -> dict[str, Any]:
    """The answer to a request to cancel an order: it has not ended yet."""
    return {"orderId": order_id, "status": "PENDING", "correlationId": order_id}


def saga_document(
    order: Order, saga: Saga, now: datetime, attempts: Mapping[str, int]
) -> dict[str, Any]:
    """The course of an order's saga; `attempts` at undoing, of the steps where that has failed.

    One that still waits for its order began with the first event that was heard of it.
    """
    at = {entry.event: entry.at for entry in order.history}
    started = order.accepted_at or min(at.values())
    ended = at.get(saga.completes) or at.get(saga.aborts)
    until = datetime.fromisoformat(ended) if ended else now
    owed = saga.owed(order.seen)
    # What was done first is undone last.
    compensations = [
        {"step": step.name, "state": "OWED"}
        if step in owed
        else {"step": step.name, "state": "DONE", "at": at[step.undone]}
        for step in reversed(saga.steps)
        if step in owed or step.undone in at
    ]
    document: dict[str, Any] = {
        "orderId": order.order_id,
        "state": saga.state(order.seen).value,
        "order": [step.name for step in saga.steps],
        "step": saga.current(order.seen),
        "startedAt": started,
    }
    if ended:
        document["endedAt"] = ended
    document |= {
        # Never below zero, though the clocks of two workers differ.
        "seconds": max(0.0, round((until - datetime.fromisoformat(started)).total_seconds(), 6)),
        "steps": [_step_document(step, at, attempts.get(step.name)) for step in saga.steps],
        "compensations": compensations,
    }
    if order.reason is not None:
        document["reason"] = order.reason
    return document | {"history": _history(order)}


def _step_document(step: Step, at: Mapping[str, str], attempts: int | None) -> dict[str, Any]:
    states = (("UNDONE", step.undone), ("FAILED", step.failed), ("DONE", step.done))
    state = next((name for name, event in states if event in at), "PENDING")
    times = (("doneAt", step.done), ("failedAt", step.failed), ("undoneAt", step.undone))
    document: dict[str, Any] = {"name": step.name, "state": state}
    document |= {name: at[event] for name, event in times if event in at}
    return document | ({"attempts": attempts} if attempts else {})


def _history(order: Order) -> list[dict[str, str]]:
    return [{"event": entry.event, "at": entry.at} for entry in order.history]


def view_document(viewed: MovieViewed) -> dict[str, Any]:
    """The answer to the post of a view; follows from the view alone."""
    return {
        "movieId": viewed.movie_id,
        "userId": viewed.user_id,
        "viewId": viewed.view_id,
        "viewedAt": iso(viewed.viewed_at),
    }


def movie_document(movie: Movie) -> dict[str, Any]:
    """A movie that was viewed."""
    return {
        "movieId": movie.movie_id,
        "views": movie.views,
        "lastViewedAt": iso(movie.last_viewed_at) if movie.last_viewed_at else None,
        "milestones": [
            {"views": one.views, "viewId": one.view_id, "viewedAt": iso(one.viewed_at)}
            for one in movie.milestones
        ],
    }


def user_document(user: User) -> dict[str, Any]:
    """A user."""
    return {
        "userId": user.user_id,
        "name": user.name,
        "email": user.email,
        "createdAt": iso(user.created_at),
    }


def stock_change_document(change: StockChange) -> dict[str, Any]:
    """A change of a product's stock by hand."""
    return {
        "at": change.at,
        "before": change.before,
        "after": change.after,
        "token": change.token,
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
        "refundedAt": payment.refund_at if payment.status is PaymentStatus.REFUNDED else None,
    }
    return document | {name: value for name, value in more.items() if value is not None}
