"""Who is told what the services do, once a batch: for metrics, and by default nobody.

What is told is plain data, so that nothing here knows what is counted, or by what. `app.metrics`
has the listeners of a worker.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.domain.order import Order
from app.domain.payment import Payment
from app.stores.locks import LockObserver
from app.stores.mongo import Stored
from app.streaming import Observer, OutRecord, TableObserver


def nothing(*_: object) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Each is called with what has just become durable.

    Attributes:
        orders_stored: the orders of a batch: key, as it was loaded, as it is now.
        payments_stored: the payments of a batch, likewise.
        backlog: how many of this worker's orders have not ended, and for how many seconds the
            oldest of them.
        late: a topic, and how many of its records came too late for some window.
        stock_refused: how many products were not written, because their guard refused it.
        locks: what becomes of locks.
        sent: records that the broker has.
        group: for a consumer group and its topics, who is told of its batches.
        table: for a table, who is told of its changelog.
    """

    orders_stored: Callable[[Sequence[tuple[str, Stored[Order], Order]]], None] = nothing
    payments_stored: Callable[[Sequence[tuple[str, Stored[Payment], Payment]]], None] = nothing
    backlog: Callable[[int, float], None] = nothing
    late: Callable[[str, int], None] = nothing
    stock_refused: Callable[[int], None] = nothing
    locks: LockObserver = field(default_factory=LockObserver)
    sent: Callable[[Sequence[OutRecord]], None] = nothing
    group: Callable[[str, Sequence[str]], Observer] = lambda name, topics: Observer()
    table: Callable[[str], TableObserver] = lambda name: TableObserver()
