"""Creates the database's indexes beside everything else: nothing waits for them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from app.stores.errors import TransientStoreError

logger = logging.getLogger(__name__)

RETRY_FIRST_SECONDS = 1.0
RETRY_MOST_SECONDS = 30.0


class Indexing:
    """Tries until the indexes are there.

    Args:
        ensure: creates those that are missing; raises `TransientStoreError` for another try.
    """

    def __init__(self, ensure: Callable[[], Awaitable[None]]) -> None:
        self._ensure = ensure
        self._task: asyncio.Task[None] | None = None

    async def start(self, app: Any) -> None:
        """Begin; for `on_startup`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, app: Any) -> None:
        """Stop trying; for `on_cleanup`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = RETRY_FIRST_SECONDS
        while True:
            try:
                await self._ensure()
            except TransientStoreError as error:
                logger.warning("the indexes are created later: %s", error)
            except Exception:
                logger.exception("the indexes can't be created: lists will be slow")
                return
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MOST_SECONDS)
