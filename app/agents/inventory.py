"""Inventory service: holds an order's items, all or none; sells them at the end, or gives back.

Consumes: the topics of its trigger, of later steps' failures and of the saga's completion
(inventory-first: order.events.v1, payment.events.v1), key: order id. Produces: inventory.events.v1.
Stores: stock, one document a product; reservations, one an order.
Compensates: InventoryReleased when a later step failed.
"""

from collections.abc import Mapping, Sequence
from uuid import uuid4

from app.agents.folding import Folding, keys, outgoing
from app.domain import inventory as domain
from app.domain.simulation import fails
from app.events import Event, OrderData, timestamp
from app.resources import Resources
from app.saga import Saga
from app.stores import repositories
from app.stores.errors import ConflictError
from app.stores.locks import FencedLocks, Lease
from app.stores.stock import StockStore
from app.streaming import OutRecord
from app.topics import BY_EVENT

LOCK_PREFIX = "stock:"


class InventoryService:
    """Keeps the shelf, under fenced locks on the products of a whole batch."""

    def __init__(self, resources: Resources, saga: Saga) -> None:
        settings, listeners = resources.settings, resources.listeners
        self._settings = settings
        self._clock = resources.clock
        self._saga = saga
        self._reservations = repositories.reservations(resources.database)
        self._stock = StockStore(
            resources.database[repositories.STOCK], on_refused=listeners.stock_refused
        )
        self._locks = FencedLocks(
            resources.redis,
            lease_seconds=settings.lock_lease_seconds,
            wait_seconds=settings.lock_wait_seconds,
            observer=listeners.locks,
        )
        self._heard = (
            saga.trigger(domain.STEP),
            *saga.undo_triggers(domain.STEP),
            saga.completes,
        )
        self._highest_fence = 0
        # Batches of this service come one after the other, so a lock that is still held in this
        # name is from a request whose answer was lost.
        self._owner = uuid4().hex

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of the events it acts on."""
        return tuple(dict.fromkeys(BY_EVENT[event].name for event in self._heard))

    async def handle(self, events: Sequence[Event]) -> list[OutRecord]:
        """One lock round, one read and one write of the shelf for all the orders of a batch.

        Stock is written before the reservations: after a crash between the two, deciding again
        finds the holds that are there already, and completes them or gives them back.
        """
        products = await self._products(events)
        if not products:
            return await self._process(events, {}, None)
        lease = await self._locks.acquire(
            [LOCK_PREFIX + product for product in products],
            floor=self._highest_fence,
            owner=self._owner,
        )
        try:
            shelf = await self._stock.load(products)
            fences = (stock.fence for stock in shelf.values())
            self._highest_fence = max(self._highest_fence, lease.token, *fences)
            return await self._process(events, shelf, lease, frozenset(products))
        finally:
            await self._locks.release(lease)

    async def _process(
        self,
        events: Sequence[Event],
        shelf: Mapping[str, domain.Stock],
        lease: Lease | None,
        locked: frozenset[str] = frozenset(),
    ) -> list[OutRecord]:
        """Decide and write. The reservations are read after the shelf: whoever changed them before
        had written the shelf first, and is seen; whoever does later finds a fence that moved on."""
        now = timestamp(self._clock())
        folding: Folding[domain.Reservation] = Folding(await self._reservations.load(keys(events)))
        needed: set[str] = set()
        needed.update(*(domain.products(folding.state(e), e, self._saga) for e in events))
        if not needed <= locked:
            raise ConflictError("a reservation changed while its products were being locked")
        touched = self._decide(folding, shelf, events, now)
        if lease is not None:
            lease.require(self._settings.mongo_timeout_seconds)
            await self._stock.save(shelf, touched, lease.token)
        await self._reservations.save(folding.changes())
        return outgoing(folding.emitted)

    async def _products(self, events: Sequence[Event]) -> set[str]:
        """The products to lock: those that the events name, and for events that name none those of
        the orders' reservations."""
        heard = [event for event in events if event.type in self._heard]
        named = [event.data for event in heard if isinstance(event.data, OrderData)]
        found = {item.product_id for order in named for item in order.items}
        unnamed = [event for event in heard if not isinstance(event.data, OrderData)]
        for entry in (await self._reservations.load(keys(unnamed))).values():
            if entry.state is not None:
                found.update(entry.state.items)
        return found

    def _decide(
        self,
        folding: Folding[domain.Reservation],
        shelf: Mapping[str, domain.Stock],
        events: Sequence[Event],
        now: str,
    ) -> dict[str, domain.Stock]:
        """Fold the batch; the stock of the products it touched."""
        current = dict(shelf)
        touched: dict[str, domain.Stock] = {}
        for event in events:
            decision = domain.decide(
                folding.state(event),
                current,
                event,
                self._saga,
                now,
                fails=fails(
                    self._settings.payment_seed,
                    domain.STEP,
                    event.order_id,
                    self._settings.inventory_failure_rate,
                ),
            )
            folding.apply(event, decision)
            current.update(decision.touched)
            touched.update(decision.touched)
        return touched
