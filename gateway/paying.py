"""`POST /api/pay`: the lesson of sync against event-driven. The money moves in the saga alone; this
only waits for its end, as a caller of a synchronous service would.

docs/handbook/sync-and-async.md shows what that costs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

import orjson
from aiohttp import hdrs, web

from gateway.answering import (
    PREFER,
    AnswerModel,
    Call,
    body_of,
    calling,
    in_its_words,
    respond,
    time_limit,
)
from gateway.budget import Deadline
from gateway.problem import ProblemError
from gateway.proxy import PREFIX, Answer
from gateway.sending import IDEMPOTENCY_KEY

JSON = "application/json"
ORDERS = "/orders"
ORDER_ID = "orderId"
# A worker answers within its own limits; this is above all of them, a wait apart.
CALL_SECONDS = 15.0
# A wait ends so long before the time limit, the gateway's or the client's own
# (`X-Request-Timeout`), for the answer to arrive.
ANSWER_SECONDS = 0.5
# What the events of a saga say of its payment, the latest first.
PAYMENT_EVENTS: Mapping[str, Literal["REFUNDED", "FAILED", "CHARGED"]] = {
    "PaymentRefunded": "REFUNDED",
    "PaymentFailed": "FAILED",
    "PaymentProcessed": "CHARGED",
}
PENDING = "PENDING"
CONFIRMED = "CONFIRMED"
PAYMENT_FAILED = "PAYMENT_FAILED"
RESPOND_ASYNC = "respond-async"


class PaymentState(AnswerModel):
    """An order's payment; `amount` with two decimals."""

    amount: float
    status: Literal["REFUNDED", "FAILED", "CHARGED"]


class PayAnswer(AnswerModel):
    """The answer: 200 with the payment, or 202 while it is not decided.

    Attributes:
        payment: null while nothing was decided.
    """

    order_id: str
    status: Literal["PENDING", "CONFIRMED"]
    payment: PaymentState | None


@dataclass(frozen=True, slots=True)
class Preference:
    """How long the client would wait.

    Attributes:
        seconds: until the payment is decided.
        applied: what of its `Prefer` header counted.
    """

    seconds: int
    applied: str | None


class Paying:
    """The endpoint.

    Args:
        call: asks a worker.
        wait_seconds: the longest, and what is waited where the client says nothing.
        limit_seconds: of every request.
        body_max: bytes.
    """

    def __init__(
        self, call: Call, *, wait_seconds: int, limit_seconds: float, body_max: int
    ) -> None:
        self._call = call
        self._wait_seconds = wait_seconds
        self._limit_seconds = limit_seconds
        self._body_max = body_max

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """`POST /api/pay`: 200 charged, 402 refused, 409 cancelled before it was paid, 202 not
        decided yet."""
        clock = asyncio.get_running_loop().time
        deadline = Deadline(time_limit(request, self._limit_seconds), clock)
        preference = preference_of(request.headers.getall(PREFER, ()), self._wait_seconds)
        body = await body_of(request, self._body_max)
        order_id = named_order(_media_type(request), body)
        if order_id is not None:
            answer = await self._order(request, order_id, preference.seconds, deadline)
            if answer.status != HTTPStatus.OK:
                return in_its_words(answer)
            return _told(orjson.loads(answer.body), preference, {})
        placed = await self._place(request, body, deadline)
        if placed.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            return in_its_words(placed)
        order = orjson.loads(placed.body)
        headers = {
            name: placed.headers[name]
            for name in ("Idempotency-Replayed",)
            if name in placed.headers
        }
        if preference.seconds > 0 and order["status"] == PENDING:
            order = await self._ended(request, order, preference.seconds, deadline)
        return _told(order, preference, headers)

    async def only_post(self, request: web.Request) -> web.Response:
        """405: this pays, and nothing else."""
        raise web.HTTPMethodNotAllowed(request.method, (hdrs.METH_POST,))

    async def _place(self, request: web.Request, body: bytes, deadline: Deadline) -> Answer:
        headers = calling(request, keep=(hdrs.CONTENT_TYPE, hdrs.CONTENT_ENCODING, IDEMPOTENCY_KEY))
        seconds = min(CALL_SECONDS, deadline.left)
        return await self._call(hdrs.METH_POST, ORDERS, headers=headers, body=body, seconds=seconds)

    async def _ended(
        self, request: web.Request, order: dict[str, Any], seconds: int, deadline: Deadline
    ) -> dict[str, Any]:
        """The order after the wait. It is accepted: whatever goes wrong now is no error of it."""
        try:
            answer = await self._order(request, order[ORDER_ID], seconds, deadline)
        except ProblemError:
            return order
        if answer.status != HTTPStatus.OK:
            return order
        ended: dict[str, Any] = orjson.loads(answer.body)
        return ended

    async def _order(
        self, request: web.Request, order_id: str, seconds: int, deadline: Deadline
    ) -> Answer:
        """The order at its end, or as it is after `seconds`. A read is resent where its worker
        dies; a post that waits could not be."""
        headers = calling(request)
        wait = max(0, min(seconds, int(deadline.left - ANSWER_SECONDS)))
        if wait > 0:
            headers[PREFER] = f"wait={wait}"
        return await self._call(
            hdrs.METH_GET,
            f"{ORDERS}/{quote(order_id, safe='')}",
            headers=headers,
            seconds=min(wait + CALL_SECONDS, deadline.left),
        )


def _media_type(request: web.Request) -> str:
    """Without aiohttp's parser, which takes seconds for 8 kB of parameters."""
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()


def named_order(content_type: str, body: bytes) -> str | None:
    """The order that the body names; None where it is to be judged by a worker, as a new order.

    Raises:
        ProblemError: 422 it names an order by what is no text.
    """
    if content_type != JSON:
        return None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or set(content) != {ORDER_ID}:
        return None
    order_id = content[ORDER_ID]
    if not isinstance(order_id, str) or not order_id:
        detail = f"The request is not valid: {ORDER_ID} must be the id of an order."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return order_id


def preference_of(headers: list[str] | tuple[str, ...], longest: int) -> Preference:
    """What the `Prefer` header asks for: `wait=N` so long, `respond-async` alone not at all."""
    asked: dict[str, str] = {}
    for element in ",".join(headers).split(","):
        name, _, value = element.partition(";")[0].partition("=")
        # The first of a name counts (RFC 7240, 2).
        asked.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = asked.get("wait", "")
    if wait.isascii() and wait.isdigit():
        # So many digits are more than the longest in any case, and no more are read.
        seconds = min(int(wait[:9]), longest)
        return Preference(seconds, f"wait={seconds}")
    if RESPOND_ASYNC in asked:
        return Preference(0, RESPOND_ASYNC)
    return Preference(longest, None)


def _told(
    order: dict[str, Any], preference: Preference, headers: Mapping[str, str]
) -> web.Response:
    """What came of the order."""
    order_id, status = str(order[ORDER_ID]), order["status"]
    headers = {**headers, hdrs.LOCATION: f"{PREFIX}{ORDERS}/{quote(order_id, safe='')}"}
    if preference.applied is not None:
        headers["Preference-Applied"] = preference.applied
    if status not in (PENDING, CONFIRMED):
        raise _not_paid(order_id, str(order.get("reason")), headers)
    return respond(
        PayAnswer(order_id=order_id, status=status, payment=payment_of(order)),
        HTTPStatus.OK if status == CONFIRMED else HTTPStatus.ACCEPTED,
        headers,
    )


def payment_of(order: Mapping[str, Any]) -> PaymentState | None:
    """The payment as the events of the order's saga have it; None where there was none yet."""
    seen = {entry["event"] for entry in order.get("history", ())}
    for event, status in PAYMENT_EVENTS.items():
        if event in seen:
            return PaymentState(amount=order["total"], status=status)
    return None


def _not_paid(order_id: str, reason: str, headers: Mapping[str, str]) -> ProblemError:
    if reason == PAYMENT_FAILED:
        status, what = HTTPStatus.PAYMENT_REQUIRED, "The payment was refused"
    else:
        status, what = HTTPStatus.CONFLICT, "The order was cancelled, so that nothing is paid"
    return ProblemError(
        status, f"{what}: {reason}.", headers=headers, orderId=order_id, reason=reason
    )
