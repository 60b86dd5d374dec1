"""Answers about orders, their sagas and their payments."""

from typing import Annotated, Literal

from pydantic import Field

from app.domain.order import OrderStatus
from app.saga import SagaState
from app.web.schemas.values import Amount, AnswerModel, Count, Cursor, OrderId, Time, absent

Reason = Annotated[str, Field(description="Why the order is cancelled.", examples=["OUT_OF_STOCK"])]


class OrderItem(AnswerModel):
    """One order line; `price` is a unit's."""

    product_id: str
    quantity: Annotated[int, Field(ge=1)]
    price: Amount


class HeardEvent(AnswerModel):
    """An event that was heard of an order, and when it happened."""

    event: str = Field(examples=["InventoryReserved"])
    at: Time


class OrderSaga(AnswerModel):
    """How far an order's saga has come."""

    order: list[str] = Field(description="The steps, in the order they are taken.")
    step: str | None = Field(description="The step under way; null once the saga has ended.")
    state: SagaState


class AcceptedOrder(AnswerModel):
    """An order that was accepted: it is in the log."""

    order_id: OrderId
    user_id: str
    status: Literal["PENDING"]
    total: Amount
    placed_at: Time
    correlation_id: OrderId


class Order(AnswerModel):
    """An order, and what came of it."""

    order_id: OrderId
    user_id: str
    items: list[OrderItem]
    total: Amount
    country: str | None
    status: OrderStatus
    reason: Reason = absent()
    placed_at: Time
    updated_at: Time | None
    correlation_id: OrderId
    saga: OrderSaga
    history: list[HeardEvent]


class OrderPage(AnswerModel):
    """Orders, newest first."""

    orders: list[Order]
    next_cursor: Cursor


class CancellingOrder(AnswerModel):
    """An order that is asked to be cancelled, and has not ended yet."""

    order_id: OrderId
    status: Literal["PENDING"]
    correlation_id: OrderId


class SagaStep(AnswerModel):
    """One step of a saga."""

    name: str
    state: Literal["PENDING", "DONE", "FAILED", "UNDONE"]
    done_at: Time = absent()
    failed_at: Time = absent()
    undone_at: Time = absent()
    attempts: Annotated[int, Field(ge=1)] = absent(
        description="How often it was tried to undo it, where that has failed."
    )


class Compensation(AnswerModel):
    """A step that is undone, or has to be."""

    step: str
    state: Literal["OWED", "DONE"]
    at: Time = absent()


class SagaCourse(AnswerModel):
    """The course of an order's saga."""

    order_id: OrderId
    state: SagaState
    order: list[str] = Field(description="The steps, in the order they are taken.")
    step: str | None = Field(description="The step under way; null once the saga has ended.")
    started_at: Time
    ended_at: Time = absent()
    seconds: Annotated[float, Field(ge=0)]
    steps: list[SagaStep]
    compensations: list[Compensation]
    reason: Reason = absent()
    history: list[HeardEvent]
    trace_id: str = absent(
        description="The trace of the request that placed the order; of one saga alone, once the "
        "order's events are recorded."
    )


class SagaPage(AnswerModel):
    """Sagas, newest first."""

    sagas: list[SagaCourse]
    next_cursor: Cursor


class FlowStep(AnswerModel):
    """Orders that wait at a step now."""

    step: str = Field(description="`order`: its steps were heard of, and the order not yet.")
    direction: Literal["forward", "back"]
    waiting: Count
    oldest_seconds: Annotated[float, Field(ge=0)] = absent(
        description="Since the last event of the one that waits longest."
    )


class SagaFlow(AnswerModel):
    """Where orders are in the saga now, and what came of the others."""

    steps: list[FlowStep] = Field(description="Forward in their order, then back.")
    pending: Count = Field(description="Orders that have not ended.")
    at_least: Literal[True] = absent(
        description="There are more under way: the oldest of them are counted."
    )
    confirmed: Count | None = Field(description="Null where no partition answers now.")
    cancelled: Count | None
    cancelled_by: dict[str, Count]
    partial: Literal[True] = absent(description="Partitions are missing in what has ended.")


class Payment(AnswerModel):
    """What was charged for an order, or refused."""

    order_id: OrderId
    amount: Amount
    status: Literal["CHARGED", "FAILED", "REFUNDED", "REFUND_FAILED"]
    at: Time
    payment_id: str = absent()
    detail: str = absent(description="What the provider said.")
    refunded_at: Time = absent()


class Stock(AnswerModel):
    """A product's stock, in units."""

    product_id: str
    available: Count
    reserved: Count
    sold: Count


class StockPage(AnswerModel):
    """Products, by id."""

    inventory: list[Stock]
    next: str | None = Field(description="The `after` of the next page; null on the last.")


class StockChange(AnswerModel):
    """A change of a product's stock by hand."""

    at: Time
    before: Count | None = Field(description="Null where the product was made by it.")
    after: Count
    token: Count = Field(description="The fencing token of the lock under which it was made.")


class StockHistory(AnswerModel):
    """What was set by hand, newest first."""

    product_id: str
    history: list[StockChange]
