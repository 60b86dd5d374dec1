"""What a scrape costs, bounded: however many ask at once, some renderings a second at the most."""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# A rendering takes some 8 ms of the event loop (a thousand lines): four a second are 3 % of it.
# Prometheus asks every few seconds.
BETWEEN_SECONDS = 0.25

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Scrapes:
    """Renders a registry for those who ask.

    Who asks is answered at once where nobody has asked just before. All who ask within
    `between` seconds of a rendering wait for the next and share it, so an answer is never older
    than its question.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        between: float = BETWEEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._between = between
        self._clock = clock
        self._again = 0.0
        self._next: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        if self._next is None:
            wait = self._again - self._clock()
            if wait <= 0:
                return self._render()
            self._next = asyncio.create_task(self._later(wait))
        # Who leaves does not end it for the others.
        return await asyncio.shield(self._next)

    async def _later(self, wait: float) -> bytes:
        await asyncio.sleep(wait)
        self._next = None
        return self._render()

    def _render(self) -> bytes:
        text = generate_latest(self._registry)
        self._again = self._clock() + self._between
        return text
