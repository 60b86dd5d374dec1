"""What the gateway answers itself."""

import asyncio
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.workers import Workers

ALLOWED = (hdrs.METH_GET, hdrs.METH_HEAD)


class Own:
    """The gateway's own endpoints."""

    def __init__(self, workers: Workers, stopping: asyncio.Event) -> None:
        self._workers = workers
        self._stopping = stopping

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

    async def breakers(self, _request: web.Request) -> web.Response:
        """`GET /breakers`: how each worker's circuit breaker stands, in this gateway."""
        since = time.time() - time.monotonic()
        return _json(
            {
                "breakers": [
                    {
                        "target": worker.url,
                        "state": worker.breaker.state.name.lower().replace("_", "-"),
                        "failures": worker.breaker.failures,
                        "openedAt": _moment(worker.breaker.opened_at, since),
                        "retryAt": _moment(worker.breaker.retry_at, since),
                        "live": worker.live,
                        "outstanding": worker.outstanding,
                    }
                    for worker in self._workers
                ]
            }
        )

    async def only_get(self, request: web.Request) -> web.Response:
        """405: the gateway's own endpoints are for reading."""
        raise web.HTTPMethodNotAllowed(request.method, ALLOWED)


def _moment(monotonic: float | None, since: float) -> str | None:
    if monotonic is None:
        return None
    moment = datetime.fromtimestamp(since + monotonic, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=int(status), content_type="application/json"
    )
