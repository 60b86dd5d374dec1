"""What a test asks of a running Prometheus."""

import math
import time
from collections.abc import Callable, Collection
from typing import Any

import aiohttp

from tests.kafka import eventually

# The machine may be busy with other tests.
PATIENCE_SECONDS = 60
# How far back a panel looks: the whole test.
SPAN_SECONDS = 120
STEP_SECONDS = 1


class PromQL:
    """The HTTP API of a Prometheus."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"{self._url}/api/v1/{path}", params=parameters) as answer:
            body = await answer.json()
        assert "success" == body["status"], f"{path} {parameters}: {body.get('error')}"
        return body["data"]

    async def has_data(self, expr: str) -> bool:
        """Whether a chart of it would show at least one point."""
        now = time.time()
        data = await self.ask(
            "query_range",
            query=expr,
            start=str(now - SPAN_SECONDS),
            end=str(now),
            step=str(STEP_SECONDS),
        )
        return any(
            math.isfinite(float(value))
            for series in data["result"]
            for _, value in series["values"]
        )

    async def value(self, expr: str) -> float | None:
        """Its only sample now."""
        data = await self.ask("query", query=expr)
        return float(data["result"][0]["value"][1]) if data["result"] else None

    async def metrics(self) -> set[str]:
        """The metrics that its targets have."""
        return set(await self.ask("metadata"))

    async def firing(self) -> dict[str, dict[str, Any]]:
        """The alerts that fire now, one of each name."""
        data = await self.ask("alerts")
        return {
            alert["labels"]["alertname"]: alert
            for alert in data["alerts"]
            if alert["state"] == "firing"
        }

    async def fire(
        self, names: Collection[str], meanwhile: Callable[[], Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Wait until each of these has fired; each as it was then."""
        seen: dict[str, dict[str, Any]] = {}

        async def all_fired() -> bool:
            if meanwhile is not None:
                await meanwhile()
            now = await self.firing()
            seen.update({name: now[name] for name in names if name in now})
            return set(names) <= set(seen)

        try:
            await eventually(all_fired, PATIENCE_SECONDS, "all fire")
        except AssertionError as error:
            raise AssertionError(f"never fired: {sorted(set(names) - set(seen))}") from error
        return seen
