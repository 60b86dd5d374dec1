"""`/inventory` and `/payments`: what the participants know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from pydantic import TypeAdapter

from app.domain.inventory import Stock
from app.domain.order import Order
from app.domain.payment import Payment, PaymentStatus
from app.identity import Principal, Role
from app.stores.mongo import Database
from app.web.access import caller_of
from app.web.answers import json_response
from app.web.links import link
from app.web.parameters import order_id_of, valid_or_none, whole_number
from app.web.problems import ProblemError, invalid
from app.web.queries import stock_page
from app.web.rendering import payment_document, stock_change_document, stock_document
from app.web.requests import ProductId, StockLevel, parse, read_json_body
from app.web.shielded import Shielded
from app.web.stocking import Stocking

PAGE_DEFAULT = 100
PAGE_MOST = 1000
HISTORY_DEFAULT = 50
PRODUCT_ID = TypeAdapter[str](ProductId)


@dataclass(frozen=True, slots=True)
class StockViews:
    """The views of stock."""

    database: Database
    stocking: Stocking
    _to_its_end: Shielded = field(default_factory=Shielded)

    async def list(self, request: web.Request) -> web.Response:
        """`GET /inventory`: `next` is the `after` of the next page, null on the last."""
        limit = whole_number(request.query, "limit", default=PAGE_DEFAULT, most=PAGE_MOST)
        page = await stock_page(self.database, after=request.query.get("after"), limit=limit + 1)
        shown = page[:limit]
        return json_response(
            {
                "inventory": [stock_document(stock) for stock in shown],
                "next": shown[-1].product_id if len(page) > limit else None,
            }
        )

    async def get(self, request: web.Request) -> web.Response:
        """`GET /inventory/{productId}`."""
        return json_response(stock_document(await self._stock(request)))

    async def put(self, request: web.Request) -> web.Response:
        """`PUT /inventory/{productId}`: sets what is available; 201 where that makes a product."""
        level = parse(StockLevel, await read_json_body(request))
        product = valid_or_none(PRODUCT_ID, request.match_info["productId"])
        if product is None:
            detail = "must be 1 to 64 characters, no control characters among them"
            raise invalid([{"field": "productId", "detail": detail}])
        change = self.stocking.set_available(product, level.available)
        stock, created = await self._to_its_end(change)
        return json_response(
            stock_document(stock),
            status=HTTPStatus.CREATED if created else HTTPStatus.OK,
            headers={"Location": link(request, "inventory", product)} if created else None,
        )

    async def history(self, request: web.Request) -> web.Response:
        """`GET /inventory/{productId}/history`: what was set by hand, newest first."""
        limit = whole_number(request.query, "limit", default=HISTORY_DEFAULT, most=PAGE_MOST)
        stock = await self._stock(request)
        changes = await self.stocking.history.latest(stock.product_id, limit)
        return json_response(
            {
                "productId": stock.product_id,
                "history": [stock_change_document(change) for change in changes],
            }
        )

    async def _stock(self, request: web.Request) -> Stock:
        product = valid_or_none(PRODUCT_ID, request.match_info["productId"])
        found = await self.stocking.stock.load([product]) if product else {}
        if product not in found:
            raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such product.")
        return found[product]


@dataclass(frozen=True, slots=True)
class PaymentViews:
    """The views of payments.

    Attributes:
        order: the order of this id, if the caller may see it: a payment does not know its user.
    """

    stored: Callable[[str], Awaitable[Payment | None]]
    order: Callable[[str, Principal], Awaitable[Order]]

    async def get(self, request: web.Request) -> web.Response:
        """`GET /payments/{orderId}`."""
        order_id = order_id_of(request)
        caller = caller_of(request)
        if caller.role < Role.OPERATOR:
            await self.order(order_id, caller)
        payment = await self.stored(order_id)
        # A void one says only that nothing ever will be charged.
        if payment is None or payment.status is PaymentStatus.VOID:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, f"Nothing was charged or refused for order {order_id}."
            )
        return json_response(payment_document(payment))
