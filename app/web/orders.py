"""`/orders`: accepting orders and telling what came of them."""

from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from pydantic import TypeAdapter

from app.domain.order import OrderStatus
from app.identity import Role
from app.saga import Saga
from app.stores.listing import Position, orders_page
from app.stores.mongo import Database
from app.web import cursors
from app.web.acceptance import Acceptance, Acceptor
from app.web.access import caller_of, require_self
from app.web.answers import json_response
from app.web.cancelling import Canceller, has_ended
from app.web.deadline import within_limit
from app.web.links import link
from app.web.parameters import choice, idempotency_key, order_id_of, text_filter, whole_number
from app.web.prefer import wait_seconds
from app.web.problems import ProblemError
from app.web.reading import Reader
from app.web.rendering import cancelling, order_document
from app.web.requests import UserId, parse_order, read_json_body
from app.web.shielded import Shielded
from app.web.tracing import about_order, trace_of

LISTED = "orders"
PAGE_DEFAULT = 50
PAGE_MOST = 200
USER_ID = TypeAdapter[str](UserId)


@dataclass(frozen=True, slots=True)
class OrderViews:
    """The views of orders.

    Attributes:
        max_items: of one order.
        max_wait: seconds that a request may ask to wait.
    """

    acceptor: Acceptor
    canceller: Canceller
    reader: Reader
    database: Database
    saga: Saga
    max_items: int
    max_wait: float
    _to_its_end: Shielded = field(default_factory=Shielded)

    async def post(self, request: web.Request) -> web.Response:
        """`POST /orders`."""
        key = idempotency_key(request)
        order = parse_order(await read_json_body(request), max_items=self.max_items)
        require_self(caller_of(request), order.user_id)
        seconds = self._wait_seconds(request)
        if seconds > 0:
            self.reader.until_ended.require_room()
        traceparent = trace_of(request).traceparent
        accepted = await self._to_its_end(self.acceptor.accept(order, key, traceparent))
        about_order(request, accepted.order_id)
        return await self._answer(request, accepted, seconds)

    async def get(self, request: web.Request) -> web.Response:
        """`GET /orders/{orderId}`."""
        seconds = self._wait_seconds(request)
        order = await self.reader.read(order_id_of(request), caller_of(request), seconds)
        return json_response(order_document(order, self.saga), headers=_applied(seconds))

    async def list(self, request: web.Request) -> web.Response:
        """`GET /orders`: newest first; a customer's own only."""
        query, caller = request.query, caller_of(request)
        user_id = text_filter(query, "userId", USER_ID)
        if user_id is not None:
            require_self(caller, user_id)
        elif caller.role < Role.OPERATOR:
            user_id = caller.user_id
        status = choice(query, "status", OrderStatus)
        limit = whole_number(query, "limit", default=PAGE_DEFAULT, most=PAGE_MOST)
        position = cursors.cursor_of(query, LISTED, 2)
        page = await orders_page(
            self.database,
            user_id=user_id,
            status=status,
            after=Position(*position) if position else None,
            limit=limit,
        )
        last = page.last
        return json_response(
            {
                "orders": [order_document(order, self.saga) for order in page.orders],
                "nextCursor": cursors.encode(LISTED, last.accepted_at, last.order_id)
                if last
                else None,
            }
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """`POST /orders/{orderId}/cancel`."""
        order_id = order_id_of(request)
        seconds = self._wait_seconds(request)
        until_ended = self.reader.until_ended
        if seconds > 0:
            until_ended.require_room()
        await self.canceller.cancel(order_id, caller_of(request), trace_of(request).traceparent)
        headers = {"Location": link(request, "orders", order_id)}
        ended = None
        if seconds > 0:
            try:
                ended = await until_ended.wait(order_id, within_limit(request, seconds))
                headers |= _applied(seconds)
            except ProblemError:
                pass  # others took the last places meanwhile; it is asked for all the same
        if ended is None:
            return json_response(cancelling(order_id), status=HTTPStatus.ACCEPTED, headers=headers)
        if ended.status is OrderStatus.CONFIRMED:
            raise has_ended(ended)  # the confirmation was first
        return json_response(order_document(ended, self.saga), headers=headers)

    async def _answer(
        self, request: web.Request, accepted: Acceptance, seconds: float
    ) -> web.Response:
        headers = {"Location": link(request, "orders", accepted.order_id)}
        if accepted.replayed:
            headers["Idempotency-Replayed"] = "true"
        ended = None
        if seconds > 0:
            try:
                left = within_limit(request, seconds)
                ended = await self.reader.until_ended.wait(accepted.order_id, left)
                headers |= _applied(seconds)
            except ProblemError:
                pass  # others took the last places meanwhile; the order is accepted all the same
        if ended is not None and ended.status is not OrderStatus.PENDING:
            return json_response(order_document(ended, self.saga), headers=headers)
        return json_response(accepted.body, status=HTTPStatus.ACCEPTED, headers=headers)

    def _wait_seconds(self, request: web.Request) -> float:
        asked = wait_seconds(request.headers.getall("Prefer", []), self.max_wait)
        return within_limit(request, asked)


def _applied(seconds: float) -> dict[str, str]:
    return {"Preference-Applied": f"wait={seconds:g}"} if seconds > 0 else {}
