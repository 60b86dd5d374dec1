"""`/orders`: accepting orders and telling what came of them."""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web

from app.domain.order import OrderStatus
from app.saga import Saga
from app.web.acceptance import Acceptance, Acceptor
from app.web.answers import json_response
from app.web.prefer import wait_seconds
from app.web.problems import ProblemError
from app.web.reading import Reader
from app.web.rendering import order_document
from app.web.requests import idempotency_key, order_id_of, parse_order, read_json_body
from app.web.tracing import trace_of

T = TypeVar("T")

PREFIX_HEADER = "X-Forwarded-Prefix"
# No empty segment, so that the path can't be taken for another host.
PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+){1,5}")


@dataclass(frozen=True, slots=True)
class OrderViews:
    """The views of orders.

    Attributes:
        max_items: of one order.
        max_wait: seconds that a request may ask to wait.
    """

    acceptor: Acceptor
    reader: Reader
    saga: Saga
    max_items: int
    max_wait: float
    _accepting: set[asyncio.Task[Any]] = field(default_factory=set)

    async def post(self, request: web.Request) -> web.Response:
        """`POST /orders`."""
        key = idempotency_key(request)
        order = parse_order(await read_json_body(request), max_items=self.max_items)
        seconds = self._wait_seconds(request)
        if seconds > 0:
            self.reader.until_ended.require_room()
        traceparent = trace_of(request).traceparent
        accepted = await self._to_its_end(self.acceptor.accept(order, key, traceparent))
        return await self._answer(request, accepted, seconds)

    async def get(self, request: web.Request) -> web.Response:
        """`GET /orders/{orderId}`."""
        seconds = self._wait_seconds(request)
        order = await self.reader.read(order_id_of(request), seconds)
        return json_response(order_document(order, self.saga), headers=_applied(seconds))

    async def _answer(
        self, request: web.Request, accepted: Acceptance, seconds: float
    ) -> web.Response:
        headers = {"Location": f"{_prefix(request)}/orders/{accepted.order_id}"}
        if accepted.replayed:
            headers["Idempotency-Replayed"] = "true"
        ended = None
        if seconds > 0:
            try:
                ended = await self.reader.until_ended.wait(accepted.order_id, seconds)
                headers |= _applied(seconds)
            except ProblemError:
                pass  # others took the last places meanwhile; the order is accepted all the same
        if ended is not None and ended.status is not OrderStatus.PENDING:
            return json_response(order_document(ended, self.saga), headers=headers)
        return json_response(accepted.body, status=HTTPStatus.ACCEPTED, headers=headers)

    def _wait_seconds(self, request: web.Request) -> float:
        return wait_seconds(request.headers.getall("Prefer", []), self.max_wait)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Go on even when the client leaves: half an acceptance would leave its key claimed."""
        task = asyncio.ensure_future(work)
        self._accepting.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        if not task.cancelled():
            task.exception()  # its request has heard of it, or has left


def _applied(seconds: float) -> dict[str, str]:
    return {"Preference-Applied": f"wait={seconds:g}"} if seconds > 0 else {}


def _prefix(request: web.Request) -> str:
    """Where the gateway has these paths."""
    given = request.headers.get(PREFIX_HEADER, "")
    return given if PREFIX.fullmatch(given) else ""
