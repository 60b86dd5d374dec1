"""`/livez`, `/readyz`, `/metrics`: what supervisors, balancers and Prometheus ask."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.web.answers import json_response

logger = logging.getLogger(__name__)

# Below what balancers allow a probe by default (Kubernetes: 1 s, nginx and others more).
CHECK_SECONDS = 0.9


@dataclass(frozen=True, slots=True)
class HealthViews:
    """The views of health.

    Attributes:
        pings: for each server that this needs, a call that raises when it does not answer.
        services_ready: for each service of this process, whether it takes part in its group.
    """

    pings: Mapping[str, Callable[[], Awaitable[None]]]
    services_ready: Callable[[], Mapping[str, bool]]

    async def live(self, request: web.Request) -> web.Response:
        """`GET /livez`: the loop runs, or there would be no answer."""
        return json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /readyz`: 503 unless everything that this needs answers."""
        answers = await asyncio.gather(*(self._answers(name) for name in self.pings))
        servers = dict(zip(self.pings, answers, strict=True))
        services = dict(self.services_ready())
        ready = all(servers.values()) and all(services.values())
        return json_response(
            {
                "status": "ok" if ready else "unavailable",
                "checks": {**servers, "services": services},
            },
            status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _answers(self, name: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self.pings[name]()
        except Exception as error:  # whatever it is, the server did not answer
            logger.info("%s is not ready: %r", name, error)
            return False
        return True
