"""The producer that settles what it was given, and what waits for it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver

from app.streaming.buffer import DrainingBuffer


class Producer(driver.Producer):
    """Every record is acknowledged by all in-sync replicas.

    Not idempotent: aiokafka 0.14 takes a batch's sequence numbers before it knows its fate, so
    after one batch that failed for good the broker refuses all that follow in the partition, until
    the process ends. A copy that a retry adds is harmless here; a producer that never sends again
    is not.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = DrainingBuffer(self.app, loop=self.loop, beacon=self.beacon)

    async def settle(self) -> None:
        """Wait until every record given to this producer before now was delivered.

        Raises:
            Exception: one was not; the app is crashing.
        """
        await self.buffer.drain()
        if self._producer is not None:
            await self._producer.flush()
        await asyncio.sleep(0)  # lets the deliveries' callbacks run
        self.buffer.check()

    def _settings_extra(self) -> Mapping[str, Any]:
        return {**super()._settings_extra(), "acks": "all"}
