"""Reading orders: one just accepted is waited for, and never answered as unknown."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from app.domain.order import Order, OrderStatus
from app.identity import Principal, Role
from app.stores.errors import TransientStoreError
from app.web.accepted import Known
from app.web.problems import ProblemError, unavailable
from app.web.waiting import OrderWatcher

logger = logging.getLogger(__name__)

# The last look after waiting: what was read before the wait is an answer too.
LAST_LOOK_SECONDS = 1.0


class KnownOrders(Protocol):
    """Which orders were accepted of late; see `AcceptedOrders`."""

    async def known(self, order_id: str) -> Known | None:
        """The accepted order, None where no such was accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads orders.

    Attributes:
        stored: the order of this id as the database has it.
        until_stored: waits for orders to be stored.
        until_ended: waits for orders to end.
        grace_seconds: how long an accepted order may take to be stored.
    """

    stored: Callable[[str], Awaitable[Order | None]]
    accepted: KnownOrders
    until_stored: OrderWatcher
    until_ended: OrderWatcher
    grace_seconds: float

    async def read(self, order_id: str, caller: Principal, seconds: float = 0.0) -> Order:
        """The order, once it has ended or after `seconds`.

        Raises:
            ProblemError: 404 no such order that the caller may see, which is said before anything
                is waited for; 503 it was accepted, and nothing more is known yet.
        """
        give_up = asyncio.get_running_loop().time() + seconds
        if seconds > 0:
            self.until_ended.require_room()
        order = _placed(await self.stored(order_id))
        if order is None:
            order = await self._accepted(order_id, caller, seconds)
        order = _seen(order, caller)
        left = give_up - asyncio.get_running_loop().time()
        if order.status is not OrderStatus.PENDING or left <= 0:
            return order
        return await self.until_ended.wait(order_id, left) or await self._last_look(order)

    async def find(self, order_id: str, caller: Principal) -> Order:
        """What is known of the order now, be it only its id, or only the events of its steps.

        Raises:
            ProblemError: 404 no such order that the caller may see; 503 whether there is one can't
                be told now.
        """
        return _seen(await self._find(order_id), caller)

    async def _find(self, order_id: str) -> Order:
        stored = await self.stored(order_id)
        if stored is not None:
            return stored
        try:
            known = await self.accepted.known(order_id)
        except TransientStoreError as error:
            logger.warning("whether order %s was accepted can't be asked: %s", order_id, error)
            order = await self.until_stored.wait(order_id, self.grace_seconds)
            if order is None:
                raise unavailable(f"Whether there is an order {order_id} can't be told.") from error
            return order
        if known is not None:
            return known.order or Order(order_id)
        order = await self.stored(order_id)  # it may have been stored since it was looked for
        if order is None:
            raise _unknown(order_id)
        return order

    async def _accepted(self, order_id: str, caller: Principal, seconds: float) -> Order:
        """An order that the database does not have yet."""
        known: Known | None = Known(None)
        try:
            known = await self.accepted.known(order_id)
        except TransientStoreError as error:
            logger.warning("whether order %s was accepted can't be asked: %s", order_id, error)
        if known is None and not await self._steps_were_heard(order_id):
            raise _unknown(order_id)
        if known is not None and known.order is not None:
            _seen(known.order, caller)
        stored = await self.until_stored.wait(order_id, max(self.grace_seconds, seconds))
        order = stored or (known.order if known else None)
        if order is None:
            raise unavailable(f"Order {order_id} may have been accepted and is not stored yet.")
        return order

    async def _steps_were_heard(self, order_id: str) -> bool:
        """Look again: what was stored since it was found unknown, or what is known by its steps."""
        return await self.stored(order_id) is not None

    async def _last_look(self, order: Order) -> Order:
        try:
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                return _placed(await self.stored(order.order_id)) or order
        except Exception as error:  # a worker that stops closes its connections meanwhile, too
            logger.warning("order %s is answered as it was: %r", order.order_id, error)
            return order


def _unknown(order_id: str) -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, f"There is no order {order_id}.")


def _seen(order: Order, caller: Principal) -> Order:
    """The order, if the caller may see it.

    Raises:
        ProblemError: 404, as if there were none, since an order's id follows from its user and key
            and so can be guessed; 503 its user is not known yet.
    """
    if order.placed is None:
        if caller.role < Role.OPERATOR:
            raise unavailable(f"Order {order.order_id} was accepted and is not stored yet.")
    elif not caller.sees(order.placed.user_id):
        raise _unknown(order.order_id)
    return order


def _placed(order: Order | None) -> Order | None:
    """The order, unless only its steps were heard: topics are not ordered among each other."""
    return order if order is not None and order.placed is not None else None
