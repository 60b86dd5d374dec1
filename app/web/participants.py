"""`/inventory` and `/payments`: what the participants know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from app.domain.payment import Payment
from app.stores.mongo import Database
from app.stores.repositories import STOCK
from app.stores.stock import StockStore
from app.web.answers import json_response
from app.web.problems import ProblemError
from app.web.queries import stock_page
from app.web.rendering import payment_document, stock_document
from app.web.requests import ProductId, order_id_of, whole_number

PAGE_DEFAULT = 100
PAGE_MOST = 1000
PRODUCT_ID = TypeAdapter[str](ProductId)


@dataclass(frozen=True, slots=True)
class StockViews:
    """The views of stock."""

    database: Database

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
        product = _product_id(request.match_info["productId"])
        found = await StockStore(self.database[STOCK]).load([product]) if product else {}
        if product not in found:
            raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such product.")
        return json_response(stock_document(found[product]))


@dataclass(frozen=True, slots=True)
class PaymentViews:
    """The views of payments."""

    stored: Callable[[str], Awaitable[Payment | None]]

    async def get(self, request: web.Request) -> web.Response:
        """`GET /payments/{orderId}`."""
        order_id = order_id_of(request)
        payment = await self.stored(order_id)
        if payment is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, f"Nothing was charged or refused for order {order_id} yet."
            )
        return json_response(payment_document(payment))


def _product_id(given: str) -> str | None:
    """The id, None where it could be no product's."""
    try:
        return PRODUCT_ID.validate_python(given)
    except ValidationError:
        return None
