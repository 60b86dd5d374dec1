"""Pages of orders and of their sagas, newest first.

Every query walks one of the indexes of `repositories.INDEXES` backwards from a position, so a page
costs what it shows, however many orders there are, and orders that come meanwhile move nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.order import Order, OrderStatus
from app.saga import Saga, SagaState
from app.stores.mongo import Database, Document, translated
from app.stores.repositories import ORDERS, decode_order

HEARD = "history.event"
# A page ends early with orders that have more lines than this together: some megabytes of JSON.
PAGE_LINES_MOST = 20_000
# All that a saga's course follows from; of a large order its items would be nearly everything.
COURSE = {"status": 1, "reason": 1, "history": 1, "endedBy": 1, "cancelledBy": 1}


@dataclass(frozen=True, slots=True)
class Position:
    """The place of an order among all: when it was accepted, then its id.

    `accepted_at` is empty for an order of which only steps were heard.
    """

    accepted_at: str
    order_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders; `last` is where the next page goes on, None where there is none."""

    orders: Sequence[Order]
    last: Position | None


@dataclass(frozen=True, slots=True)
class Course:
    """What was heard of an order: the types of its events, and the time of the last."""

    seen: frozenset[str]
    updated_at: str


async def pending_courses(database: Database, limit: int) -> list[Course]:
    """Of orders that have not ended, the oldest `limit`.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    found = []
    with translated():
        cursor = database[ORDERS].find({"status": OrderStatus.PENDING.value}, {"history": 1})
        cursor = cursor.sort([("acceptedAt", 1), ("_id", 1)]).limit(limit)
        async for document in cursor:
            history = document["history"]
            found.append(Course(frozenset(e["event"] for e in history), history[-1]["at"]))
    return found


async def orders_page(
    database: Database,
    *,
    user_id: str | None = None,
    status: OrderStatus | None = None,
    after: Position | None = None,
    limit: int,
) -> Page:
    """Orders that were placed, of a user, in a status, or all.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    query: Document = {}
    if user_id is not None:
        query["userId"] = user_id
    if status is not None:
        query["status"] = status.value
    return await _page(database, _placed(query, after), None, limit)


async def sagas_page(
    database: Database,
    saga: Saga,
    *,
    state: SagaState | None = None,
    before: str | None = None,
    after: Position | None = None,
    limit: int,
) -> Page:
    """Orders by the state of their sagas, without their items.

    Args:
        before: only those that were accepted (of `WAITING` ones: first heard of) before this time.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    condition = {} if state is None else state_condition(saga, state)
    if state is SagaState.WAITING:
        query = _waiting(condition, before, after)
    else:
        query = _placed(condition, after, before)
    return await _page(database, query, COURSE, limit)


def state_condition(saga: Saga, state: SagaState) -> Document:
    """What an order's document fulfils when `saga.state` of its events is `state`.

    The state itself is not stored: it follows from the events. Only orders that have not ended are
    looked through for it, which are few, and by the index on their status.
    """
    pending: Document = {"status": OrderStatus.PENDING.value}
    backwards = [saga.cancels, *(step.failed for step in saga.steps)]
    stuck: list[Document] = [
        {
            "$and": [
                {HEARD: step.undo_failed},
                {HEARD: {"$in": list(saga.undo_triggers(step.name))}},
                {HEARD: {"$nin": [step.undone, step.failed]}},
            ]
        }
        for step in saga.steps
        if step.undo_failed
    ]
    match state:
        case SagaState.WAITING:
            return {**pending, "acceptedAt": None, "items": {"$exists": False}}
        case SagaState.RUNNING:
            return {**pending, HEARD: {"$nin": backwards}}
        case SagaState.COMPENSATING:
            return {**pending, HEARD: {"$in": backwards}, **({"$nor": stuck} if stuck else {})}
        case SagaState.COMPENSATION_FAILED:
            # Of a saga without a step whose undoing can fail there is none.
            return {**pending, **({"$or": stuck} if stuck else {"_id": None})}
        case SagaState.COMPLETED:
            return {"status": OrderStatus.CONFIRMED.value}
        case SagaState.ABORTED:
            return {"status": OrderStatus.CANCELLED.value}


def _placed(condition: Document, after: Position | None, before: str | None = None) -> Document:
    """Those of the orders that were placed."""
    # Not null: an order of which only steps were heard has not been placed yet.
    accepted: Document = {"$gt": ""}
    if before is not None:
        accepted["$lt"] = before
    query = {**condition, "acceptedAt": accepted}
    if after is None:
        return query
    # The index is walked by the range; among those accepted at the same time the id decides.
    accepted["$lte"] = after.accepted_at
    further = {
        "$or": [
            {"acceptedAt": {"$lt": after.accepted_at}},
            {"_id": {"$lt": after.order_id}},
        ]
    }
    return {"$and": [query, further]}


def _waiting(condition: Document, before: str | None, after: Position | None) -> Document:
    query = dict(condition)
    if before is not None:
        query["history.0.at"] = {"$lt": before}
    if after is not None:
        query["_id"] = {"$lt": after.order_id}
    return query


async def _page(
    database: Database, query: Document, fields: Mapping[str, Any] | None, limit: int
) -> Page:
    orders: list[Order] = []
    lines, more = 0, False
    with translated():
        cursor = database[ORDERS].find(query, fields)
        # One more than is shown tells whether there is a next page.
        cursor = cursor.sort([("acceptedAt", -1), ("_id", -1)]).limit(limit + 1)
        async for document in cursor:
            if len(orders) == limit or lines >= PAGE_LINES_MOST:
                more = True
                break
            orders.append(decode_order(document))
            lines += len(document.get("items", ()))
        await cursor.close()
    if not more:
        return Page(orders, None)
    return Page(orders, Position(orders[-1].accepted_at or "", orders[-1].order_id))
