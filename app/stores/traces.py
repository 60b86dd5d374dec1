"""Under which trace an order was placed, as the audit log has it."""

from uuid import UUID, uuid5

from app.events import OrderPlaced
from app.stores.mongo import Database, documents
from app.stores.repositories import AUDIT


async def trace_of_order(database: Database, order_id: str) -> str | None:
    """The trace id of the request that placed the order; None where none is recorded yet.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    # An event's id follows from its order and type (`app.events.event_id`), so no index is needed.
    event = str(uuid5(UUID(order_id), OrderPlaced.__name__))
    found = documents(database[AUDIT], {"_id": event}, {"traceparent": 1})
    async for document in found:
        # Version, trace, parent and flags (W3C trace context).
        parts = (document.get("traceparent") or "").split("-")
        return parts[1] if len(parts) > 1 else None
    return None
