"""Setting a product's stock by hand, under the same lock that reservations take."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from app.agents.inventory import LOCK_PREFIX
from app.domain.inventory import Stock
from app.events import timestamp
from app.resources import Clock
from app.stores.errors import ConflictError, LeaseUnavailableError, TransientStoreError
from app.stores.locks import Lease
from app.stores.stock import StockStore
from app.stores.stock_history import StockHistory
from app.web.problems import ProblemError, unavailable

logger = logging.getLogger(__name__)

# Only what wrote without the lock, or with a token from before a loss of Redis, comes in between.
ATTEMPTS = 3
RETRY_LOCK_SECONDS = 2.0


class Locks(Protocol):
    """Fenced locks; see `FencedLocks`."""

    async def acquire(
        self, names: Collection[str], *, floor: int = 0, owner: str | None = None
    ) -> Lease:
        """Lease all of `names`, with a token above `floor`."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the locks back."""
        ...


@dataclass(frozen=True, slots=True)
class Stocking:
    """Sets stock.

    Attributes:
        write_seconds: the time limit of one write, which the lease must outlast.
    """

    stock: StockStore
    history: StockHistory
    locks: Locks
    clock: Clock
    write_seconds: float

    async def set_available(self, product: str, available: int) -> tuple[Stock, bool]:
        """The product with so many units available, and whether it was created for it.

        Set again to the same, it stays the same, so a client may repeat what got no answer.

        Raises:
            ProblemError: 503 others kept its lock, or wrote it in between.
            TransientStoreError: the database could not be reached; it may have been set.
        """
        for _ in range(ATTEMPTS):
            try:
                done = await self._locked(product, available)
            except LeaseUnavailableError as error:
                logger.warning("product %s was not set: %s", product, error)
                raise _busy() from error
            except ConflictError as error:
                logger.info("product %s is set again: %s", product, error)
                continue
            await self._note(product)
            return done
        raise _busy()

    async def _locked(self, product: str, available: int) -> tuple[Stock, bool]:
        known = (await self.stock.load([product])).get(product)
        lease = await self._lease(LOCK_PREFIX + product, known.fence if known else 0)
        try:
            # What an interrupted change left; this one takes its place in the product.
            await self.history.copy_last(product)
            before = (await self.stock.load([product])).get(product)
            lease.require(self.write_seconds)
            at = timestamp(self.clock())
            after = await self.stock.set_available(product, before, available, lease.token, at)
        finally:
            await self.locks.release(lease)
        return after, before is None

    async def _lease(self, name: str, floor: int) -> Lease:
        owner = uuid4().hex
        try:
            return await self.locks.acquire([name], floor=floor, owner=owner)
        except LeaseUnavailableError:
            # It may have been granted, and only the answer lost.
            await self.locks.release(Lease((name,), 0, owner, 0.0))
            raise

    async def _note(self, product: str) -> None:
        try:
            await self.history.copy_last(product)
        except TransientStoreError as error:
            logger.warning("the history of %s is completed later: %s", product, error)


def _busy() -> ProblemError:
    return unavailable(
        "The product's stock is locked by others, or its lock can't be asked for; try again.",
        retry_after=RETRY_LOCK_SECONDS,
    )
