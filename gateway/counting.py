"""`/api/count` and `/api/limited`: what several gateways have in common, to try out."""

import math
from http import HTTPStatus

from aiohttp import web

from gateway.answering import AnswerModel, respond
from gateway.problem import ProblemError
from gateway.shared import RETRY_SECONDS, LostRedisError, Shared

KEY = "gateway:count"
LOCAL = "local"
NOT_LOCAL = frozenset(("", "0", "false"))
NO_STORE = {"Cache-Control": "no-store"}


class Count(AnswerModel):
    """The answer of `/api/count`: how often it was asked for, and who says so."""

    count: int
    instance: str


class Allowed(AnswerModel):
    """The answer of `/api/limited` to who may ask."""

    allowed: bool
    instance: str


class Counter:
    """The two endpoints."""

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared = shared
        self._name = name
        self._local = 0

    async def count(self, request: web.Request) -> web.Response:
        """`GET /api/count`: one more than the last answer of any gateway, or, with `?local=1`, of
        this one."""
        if request.query.get(LOCAL, "") in NOT_LOCAL:
            count = await self._next()
        else:
            self._local += 1
            count = self._local
        return respond(Count(count=count, instance=self._name), headers=NO_STORE)

    async def limited(self, _request: web.Request) -> web.Response:
        """`GET /api/limited`: the limit lets through whom it admits."""
        return respond(Allowed(allowed=True, instance=self._name), headers=NO_STORE)

    async def _next(self) -> int:
        try:
            return int(await self._shared.call("INCR", KEY))
        except LostRedisError as error:
            detail = "The shared counter is away; ?local=1 has this instance's own. Try again."
            headers = {"Retry-After": str(math.ceil(RETRY_SECONDS))}
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers) from error
