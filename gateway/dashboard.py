"""`GET /api/dashboard`: users, orders and analytics in one answer, asked for side by side."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import orjson
from aiohttp import hdrs, web
from pydantic import Field

from gateway.answering import AnswerModel, Call, calling, respond, time_limit
from gateway.problem import ProblemError

# What fits on a screen.
SHOWN = 20
# Then whoever was too slow has been asked anew, and who was away has been checked again.
RETRY_AFTER_SECONDS = 1
PartName = Literal["users", "orders", "analytics"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the dashboard.

    Attributes:
        target: where a worker has it.
        of: what of the worker's answer is shown.
    """

    name: PartName
    target: str
    of: Callable[[dict[str, Any]], Any]


PARTS = (
    Part("users", f"/users?limit={SHOWN}", lambda answer: answer["users"]),
    Part("orders", f"/orders?limit={SHOWN}", lambda answer: answer["orders"]),
    Part("analytics", "/analytics", lambda answer: answer),
)


class MissingPart(AnswerModel):
    """A part that could not be had.

    Attributes:
        status: what a request for this part alone would have been answered.
        reason: the status, and why, in words.
    """

    part: PartName
    status: int
    reason: str


class Dashboard(AnswerModel):
    """The answer. A part that is missing is null.

    Attributes:
        users: the first ones by id, as `GET /users` has them.
        orders: the latest, as `GET /orders` has them.
        analytics: counts, revenue and rates over all orders, as `GET /analytics` has them.
        partial: whether a part is missing.
    """

    users: list[dict[str, Any]] | None
    orders: list[dict[str, Any]] | None
    analytics: dict[str, Any] | None
    partial: bool
    missing: list[MissingPart] = Field(default_factory=list)


class DashboardView:
    """The dashboard's endpoint.

    Args:
        call: asks a worker.
        seconds: each part's own time limit.
    """

    def __init__(self, call: Call, seconds: float) -> None:
        self._call = call
        self._seconds = seconds

    async def get(self, request: web.Request) -> web.Response:
        """`GET /api/dashboard`: 200 with one part at least; else 503, or the workers' refusal."""
        headers, seconds = calling(request), time_limit(request, self._seconds)
        found = await asyncio.gather(*(self._part(part, headers, seconds) for part in PARTS))
        missing = [part for part in found if isinstance(part, MissingPart)]
        if len(missing) == len(PARTS):
            raise _nothing(missing)
        shown = {
            part.name: None if isinstance(one, MissingPart) else one
            for part, one in zip(PARTS, found, strict=True)
        }
        return respond(
            Dashboard(**shown, partial=bool(missing), missing=missing),
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    async def _part(self, part: Part, headers: Mapping[str, str], seconds: float) -> Any:
        """What is shown of the part, or that it is missing."""
        try:
            answer = await self._call(hdrs.METH_GET, part.target, headers=headers, seconds=seconds)
        except ProblemError as error:
            return _missing(part, error.status, error.detail)
        if answer.status != HTTPStatus.OK:
            return _missing(part, answer.status, _detail(answer.body))
        try:
            return part.of(orjson.loads(answer.body))
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return _missing(part, HTTPStatus.BAD_GATEWAY, "The worker's answer can't be read.")


def _missing(part: Part, status: int, detail: str) -> MissingPart:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    words = f"{int(status)} {phrase}".strip()
    return MissingPart(
        part=part.name, status=int(status), reason=f"{words}: {detail}" if detail else words
    )


def _detail(body: bytes) -> str:
    """The detail of a problem, if that is what the body is."""
    try:
        detail = orjson.loads(body)["detail"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return ""
    return detail if isinstance(detail, str) else ""


def _nothing(missing: list[MissingPart]) -> ProblemError:
    """The answer where every part is missing: asked again, a refusal would stay one."""
    reasons = "; ".join(f"{part.part}: {part.reason}" for part in missing)
    statuses = {part.status for part in missing}
    if statuses <= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ProblemError(min(statuses), f"No part of the dashboard is for you. {reasons}")
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"No part of the dashboard can be had now. {reasons}",
        headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS)},
    )
