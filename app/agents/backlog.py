"""The orders that have not ended, as whoever owns their partitions sees them; for metrics.

Looked for at each sweep: one query on an index that holds all that it asks for, and never more
than `LOOK_MAX` of them, the oldest. Beyond that the count is a lower bound, and says that there is
more to do than a figure could tell.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from app.agents.partitions import partition_of
from app.domain.order import OrderStatus
from app.resources import Resources
from app.stores.mongo import translated
from app.stores.repositories import ORDERS

# Some ten milliseconds to read.
LOOK_MAX = 5000
# Not null: an order of which only steps were heard has not been placed yet.
PENDING = {"status": OrderStatus.PENDING.value, "acceptedAt": {"$gt": ""}}


class Backlog:
    """Tells how many there are, and how old the oldest is.

    Args:
        owned: the partitions that this worker's service has now.
        tell: told the number, and the oldest one's age in seconds.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        owned: Callable[[], Collection[int]],
        tell: Callable[[int, float], None],
    ) -> None:
        self._database = resources.database
        self._partitions = resources.settings.topic_partitions
        self._clock = resources.clock
        self._owned = owned
        self._tell = tell
        self._known: tuple[int, datetime | None] = (0, None)

    async def look(self, *, ours: bool = True) -> None:
        """Look, and tell; of none where the partitions are not `ours` for now.

        While the store can't be read, the number stays and the oldest grows older: what is
        stuck because the store is away shows.

        Raises:
            TransientStoreError: the store can't be read now.
        """
        try:
            self._known = await self._find(self._owned() if ours else ())
        finally:
            pending, oldest = self._known
            age = (self._clock() - oldest).total_seconds() if oldest is not None else 0.0
            self._tell(pending, max(age, 0.0))

    async def _find(self, owned: Collection[int]) -> tuple[int, datetime | None]:
        pending, oldest = 0, None
        if owned:
            with translated():
                found = self._database[ORDERS].find(PENDING, {"acceptedAt": 1})
                async for order in found.sort("acceptedAt", 1).limit(LOOK_MAX):
                    if partition_of(order["_id"], self._partitions) in owned:
                        pending += 1
                        oldest = oldest or datetime.fromisoformat(order["acceptedAt"])
        return pending, oldest
