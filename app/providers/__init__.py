"""Who moves the money: the port, and what is behind it.

The order's id is the idempotency key of both calls: asked again, a provider answers what it
answered before, and moves nothing twice.
"""

from collections.abc import Sequence
from typing import Protocol

from app.domain.payment import Request, Result


class PaymentProvider(Protocol):
    """A payment provider."""

    async def call(self, requests: Sequence[Request]) -> Sequence[Result]:
        """Make the charges and refunds, at most one an order; the results in their order.

        Raises:
            TransientStoreError: the outcome of at least one is unknown: ask again.
        """
        ...
