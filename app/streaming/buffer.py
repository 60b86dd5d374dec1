"""Faust's buffer of records sent without waiting (table changelogs), that can be drained for sure.

Faust's own flush gives up when nothing was sent for 0.1 s, and a failed delivery is only logged:
either way an offset could be committed whose changelog record is not on the broker.
"""

import asyncio
from typing import Any

from faust.transport.producer import ProducerBuffer


class DrainingBuffer(ProducerBuffer):
    """Counts what goes in and what was handed to the producer, in order. A failed delivery crashes
    the app: what was not delivered can't be sent again from here, and nothing may be committed
    past it."""

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self._accepted = 0
        self._handed = 0
        self._progress = asyncio.Event()
        self._failure: BaseException | None = None

    def put(self, fut: Any) -> None:
        """Take a record to be sent soon."""
        self._accepted += 1
        super().put(fut)

    async def _send_pending(self, fut: Any) -> None:
        delivery = await fut.message.channel.publish_message(fut, wait=False)
        delivery.add_done_callback(self._on_delivery)
        self._handed += 1
        self._progress.set()

    def _on_delivery(self, delivery: "asyncio.Future[Any]") -> None:
        failure = None if delivery.cancelled() else delivery.exception()
        if failure is not None and self._failure is None:
            self._failure = failure
            self.app.loop.create_task(self.app.crash(failure))

    async def drain(self) -> None:
        """Wait until all that was put before this call is handed to the producer; no longer."""
        upto = self._accepted
        while self._handed < upto:
            self._progress.clear()
            await self._progress.wait()

    def check(self) -> None:
        """Raises:
        Exception: the delivery that failed; the app is crashing.
        """
        if self._failure is not None:
            raise self._failure
