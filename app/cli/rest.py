"""Whether the system is at rest: nothing under way that could still move stock or money."""

import asyncio
import time
from dataclasses import dataclass

from app.domain.inventory import ReservationStatus
from app.domain.order import OrderStatus
from app.stores.mongo import Database, translated
from app.stores.repositories import ORDERS, RESERVATIONS

# Counting reads all orders where nothing indexes their status; this often is enough.
REST_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Unrest:
    """What is still under way: orders that have not ended, reservations that still hold stock."""

    pending: int
    reserved: int

    def __bool__(self) -> bool:
        return bool(self.pending or self.reserved)


async def unrest(database: Database) -> Unrest:
    """Count what is under way.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    with translated():
        return Unrest(
            await database[ORDERS].count_documents({"status": OrderStatus.PENDING.value}),
            await database[RESERVATIONS].count_documents(
                {"status": ReservationStatus.RESERVED.value}
            ),
        )


async def until_rest(
    database: Database, seconds: float, *, poll_seconds: float = REST_POLL_SECONDS
) -> Unrest:
    """Wait until nothing is under way, within `seconds`; what is so at the end."""
    give_up = time.monotonic() + seconds
    while True:
        found = await unrest(database)
        if not found or time.monotonic() + poll_seconds > give_up:
            return found
        await asyncio.sleep(poll_seconds)
