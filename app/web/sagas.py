"""`/sagas`: how far each order's saga has come, for those who look after the system."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from app.domain.order import Order
from app.domain.payment import STEP, Payment
from app.events import timestamp
from app.resources import Clock
from app.saga import Saga, SagaState
from app.stores.listing import Position, sagas_page
from app.stores.mongo import Database, Stored
from app.stores.traces import trace_of_order
from app.web import cursors
from app.web.access import caller_of
from app.web.answers import json_response
from app.web.parameters import choice, order_id_of, seconds_of, whole_number
from app.web.problems import unavailable
from app.web.reading import Reader
from app.web.rendering import saga_document

LISTED = "sagas"
PAGE_DEFAULT = 50
PAGE_MOST = 200

LoadPayments = Callable[[Iterable[str]], Awaitable[Mapping[str, Stored[Payment]]]]


@dataclass(frozen=True, slots=True)
class SagaViews:
    """The views of sagas.

    Attributes:
        payments: the payments of many orders.
    """

    database: Database
    reader: Reader
    payments: LoadPayments
    saga: Saga
    clock: Clock

    async def list(self, request: web.Request) -> web.Response:
        """`GET /sagas`."""
        query = request.query
        state = choice(query, "state", SagaState)
        older_than = seconds_of(query, "olderThan")
        limit = whole_number(query, "limit", default=PAGE_DEFAULT, most=PAGE_MOST)
        position = cursors.cursor_of(query, LISTED, 2)
        now = self.clock()
        page = await sagas_page(
            self.database,
            self.saga,
            state=state,
            before=timestamp(now - timedelta(seconds=older_than)) if older_than else None,
            after=Position(*position) if position else None,
            limit=limit,
        )
        attempts = await self._attempts(page.orders)
        last = page.last
        return json_response(
            {
                "sagas": [
                    saga_document(order, self.saga, now, attempts.get(order.order_id, {}))
                    for order in page.orders
                ],
                "nextCursor": cursors.encode(LISTED, last.accepted_at, last.order_id)
                if last
                else None,
            }
        )

    async def get(self, request: web.Request) -> web.Response:
        """`GET /sagas/{orderId}`."""
        order_id = order_id_of(request)
        order = await self.reader.find(order_id, caller_of(request))
        if not order.history:
            raise unavailable(f"Order {order_id} was accepted and is not stored yet.")
        attempts = await self._attempts([order])
        document = saga_document(order, self.saga, self.clock(), attempts.get(order_id, {}))
        trace = await trace_of_order(self.database, order_id)
        return json_response(document | {"traceId": trace} if trace else document)

    async def _attempts(self, orders: Iterable[Order]) -> Mapping[str, Mapping[str, int]]:
        """How often each order's steps were asked to undo, where that has failed."""
        failed = self.saga.step(STEP).undo_failed
        asked = [order.order_id for order in orders if failed in order.seen]
        if not asked:
            return {}
        found = await self.payments(asked)
        return {
            order_id: {STEP: stored.state.refund_attempts}
            for order_id, stored in found.items()
            if stored.state is not None and stored.state.refund_attempts
        }
