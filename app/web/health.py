"""`/livez`, `/readyz`, `/metrics`: what supervisors, balancers and Prometheus ask."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from app.metrics.scraping import CONTENT_TYPE
from app.web.answers import json_response

logger = logging.getLogger(__name__)

NO_STORE = {"Cache-Control": "no-store"}

# Below what balancers allow a probe by default (Kubernetes: 1 s, nginx and others more).
CHECK_SECONDS = 0.9


@dataclass(frozen=True, slots=True)
class HealthViews:
    """The views of health.

    Attributes:
        pings: for each server that this needs, a call that raises when it does not answer.
        services_ready: for each service of this process, whether it takes part in its group.
        stopping: whether this process was told to stop.
        scraped: all metrics as Prometheus' text.
    """

    pings: Mapping[str, Callable[[], Awaitable[None]]]
    services_ready: Callable[[], Mapping[str, bool]]
    stopping: Callable[[], bool]
    scraped: Callable[[], Awaitable[bytes]]

    async def live(self, request: web.Request) -> web.Response:
        """`GET /livez`: the loop runs, or there would be no answer; 503 once it is to stop, so that
        the gateways turn to others while this process still serves what comes."""
        if self.stopping():
            return _unavailable({"status": "stopping"})
        return json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /readyz`: 503 unless everything that this needs answers, and it is to go on."""
        answers = await asyncio.gather(*(self._answers(name) for name in self.pings))
        servers = dict(zip(self.pings, answers, strict=True))
        services = dict(self.services_ready())
        checks = {**servers, "services": services}
        if self.stopping():
            return _unavailable({"status": "stopping", "checks": checks})
        if not (all(servers.values()) and all(services.values())):
            return _unavailable({"status": "unavailable", "checks": checks})
        return json_response({"status": "ok", "checks": checks}, headers=NO_STORE)

    async def metrics(self, request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text."""
        return web.Response(body=await self.scraped(), headers={"Content-Type": CONTENT_TYPE})

    async def _answers(self, name: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self.pings[name]()
        except Exception as error:  # whatever it is, the server did not answer
            logger.info("%s is not ready: %r", name, error)
            return False
        return True


def _unavailable(body: Mapping[str, Any]) -> web.Response:
    return json_response(body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=NO_STORE)
