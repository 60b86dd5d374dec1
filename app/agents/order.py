"""Order service: watches the sagas and says when one has ended.

Consumes: order.events.v1, inventory.events.v1, payment.events.v1 (key: order id).
Produces: order.events.v1 (OrderConfirmed, OrderCancelled; OrderPlaced comes from the web views).
Stores: orders, one document an order. Compensates: nothing, it has nothing to give back.
"""

from collections.abc import Sequence
from functools import partial

from app.agents.folding import fold
from app.domain import order as domain
from app.events import Event, timestamp
from app.resources import Resources
from app.saga import Saga
from app.stores import repositories
from app.streaming import OutRecord
from app.topics import BY_EVENT


class OrderService:
    """Keeps what the events say of each order."""

    def __init__(self, resources: Resources, saga: Saga) -> None:
        self._clock = resources.clock
        self._saga = saga
        self._orders = repositories.orders(resources.database)
        self._on_stored = resources.listeners.orders_stored

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of every event that moves the saga."""
        return tuple(dict.fromkeys(BY_EVENT[event].name for event in self._saga.events()))

    async def handle(self, events: Sequence[Event]) -> list[OutRecord]:
        """One load and one save for all the orders of a batch."""
        now = timestamp(self._clock())
        decide = partial(domain.decide, saga=self._saga, now=now)
        return await fold(self._orders, events, decide, on_stored=self._on_stored)
