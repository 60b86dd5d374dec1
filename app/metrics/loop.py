"""The event loop's lag: how much later than asked for something is done."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Gauge

SAMPLE_SECONDS = 0.5
# Between two scrapes of a Prometheus that asks every 15 s, as is usual.
SHOWN_SECONDS = 15.0


class LoopLag:
    """Shows the worst of the last `SHOWN_SECONDS`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples: deque[float] = deque(maxlen=round(SHOWN_SECONDS / SAMPLE_SECONDS))
        gauge = Gauge(
            "event_loop_lag_seconds",
            f"How late the event loop came at the worst in the last {SHOWN_SECONDS:.0f} s",
            registry=registry,
        )
        gauge.set_function(self.worst)

    def worst(self) -> float:
        """The worst lag, seconds."""
        return max(self._samples, default=0.0)

    async def watch(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        stopping: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sample until it is time to stop."""
        while not stopping():
            due = now() + SAMPLE_SECONDS
            await sleep(SAMPLE_SECONDS)
            self._samples.append(max(now() - due, 0.0))
