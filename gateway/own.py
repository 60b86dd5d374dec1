"""What the gateway answers itself."""

import asyncio
import hmac
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.problem import ProblemError
from gateway.workers import Workers

# The contract's token for trying the gateway out; it guards nothing but `/api/secure`.
DEMO_TOKEN = b"demo-token"
SCHEME = "bearer"
CHALLENGE = 'Bearer realm="orderflow"'
ALLOWED = (hdrs.METH_GET, hdrs.METH_HEAD)


class Own:
    """The gateway's own endpoints."""

    def __init__(self, workers: Workers, name: str, stopping: asyncio.Event) -> None:
        self._workers = workers
        self._name = name
        self._stopping = stopping

    async def index(self, _request: web.Request) -> web.Response:
        """`GET /`: where the API is."""
        return _json({"service": "orderflow-gateway", "instance": self._name, "api": "/api"})

    async def livez(self, _request: web.Request) -> web.Response:
        """`GET /livez`: this process answers."""
        return _json({"live": True})

    async def readyz(self, _request: web.Request) -> web.Response:
        """`GET /readyz`: whether there is a worker to send requests to, and this is to go on."""
        live = self._workers.live
        ready = live > 0 and not self._stopping.is_set()
        return _json(
            {"ready": ready, "workers": {"live": live, "total": len(self._workers)}},
            HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    async def secure(self, request: web.Request) -> web.Response:
        """`GET /api/secure`: needs the token, whatever `AUTH` says."""
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != SCHEME:
            raise _unauthorized("This needs the header `Authorization: Bearer <token>`.", CHALLENGE)
        given = token.strip().encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, DEMO_TOKEN):
            raise _unauthorized("The token is not valid.", f'{CHALLENGE}, error="invalid_token"')
        return _json({"secure": True, "instance": self._name})

    async def only_get(self, request: web.Request) -> web.Response:
        """405: the gateway's own endpoints are for reading."""
        raise web.HTTPMethodNotAllowed(request.method, ALLOWED)


def _unauthorized(detail: str, challenge: str) -> ProblemError:
    headers = {"WWW-Authenticate": challenge}
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers=headers)


def _json(value: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=int(status), content_type="application/json"
    )
