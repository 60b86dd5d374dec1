"""Accepting an order: once a key, and only when it is in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Protocol
from uuid import UUID, uuid4, uuid5

from structlog.contextvars import bind_contextvars

from app.domain.order import SOURCE, Order
from app.events import Event, timestamp
from app.stores.errors import TransientStoreError
from app.stores.idempotency import Fresh, InFlight, Keys, Mismatch, Replay
from app.web import answers, claims
from app.web.claims import RETRY_PUBLISH_SECONDS, STORED_TIMEOUT_SECONDS, Pause
from app.web.problems import ProblemError, unavailable
from app.web.rendering import acceptance
from app.web.requests import PlaceOrder

logger = logging.getLogger(__name__)

# Made up once; order ids of keyed posts derive from it.
KEYED_ORDERS = UUID("6f8a3c0e-53a1-4b56-9d0f-2d9b9d6e7c41")


class Remember(Protocol):
    """Notes an accepted order; see `AcceptedOrders.remember`."""

    async def __call__(self, event: Event, *, claim: Fresh | None, answer: bytes) -> None:
        """Never fails."""
        ...


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The answer to a post; `replayed` where it was given before."""

    order_id: str
    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Accepts orders.

    Attributes:
        publish: returns when the event is in the log.
        stored: the order of this id as the database has it.
        publish_seconds: the time limit of one publish.
    """

    keys: Keys
    remember: Remember
    publish: Callable[[Event], Awaitable[None]]
    stored: Callable[[str], Awaitable[Order | None]]
    clock: Callable[[], datetime]
    publish_seconds: float
    database: Pause = field(default_factory=Pause)
    log: Pause = field(default_factory=lambda: Pause(RETRY_PUBLISH_SECONDS))

    async def accept(self, order: PlaceOrder, key: str | None, traceparent: str) -> Acceptance:
        """Accept `order`; the same user, key and body get the same answer.

        Raises:
            ProblemError: 422 another body under the key, 409 the same post is under way, 503 the
                event could not be published.
        """
        if key is None:
            return await self._publish(order, str(uuid4()), None, traceparent, keyed=False)
        order_id = derived_id(order.user_id, key)
        fingerprint = order.fingerprint()
        claim: Fresh | None = None
        match await claims.begin(self.keys, order.user_id, key, fingerprint):
            case Mismatch():
                raise _mismatch()
            case InFlight(seconds=seconds):
                raise claims.in_flight(seconds)
            case Replay(answer=answer):
                return Acceptance(order_id, answer, replayed=True)
            case Fresh() as claim:
                pass
        # Redis may have forgotten the key; the order itself has not.
        before = await self._stored(order_id)
        if before is not None and before.placed is not None:
            if before.placed.fingerprint != fingerprint:
                await claims.abandon(self.keys, claim, forget=True)
                raise _mismatch()
            body = answers.encoded(acceptance(before.placed))
            event = Event.first(before.placed, source=SOURCE, at=before.history[0].at)
            await self.remember(event, claim=claim, answer=body)
            return Acceptance(order_id, body, replayed=True)
        return await self._publish(order, order_id, claim, traceparent, keyed=True)

    async def _publish(
        self,
        order: PlaceOrder,
        order_id: str,
        claim: Fresh | None,
        traceparent: str,
        *,
        keyed: bool,
    ) -> Acceptance:
        if not self.log.asked_now():
            await claims.abandon(self.keys, claim, forget=True)
            raise unavailable(
                "Orders can't be accepted now; nothing was done with this one. Send it again.",
                retry_after=RETRY_PUBLISH_SECONDS,
            )
        # Of this work's own context: `Shielded` made it.
        bind_contextvars(order_id=order_id)
        now = self.clock()
        placed = order.placed(order_id, now)
        event = Event.first(placed, source=SOURCE, at=timestamp(now), traceparent=traceparent)
        try:
            async with asyncio.timeout(self.publish_seconds):
                await self.publish(event)
        except Exception as error:  # whatever it is, it may have arrived all the same
            self.log.in_trouble()
            logger.warning("order %s: the log did not confirm it: %r", order_id, error)
            await claims.abandon(self.keys, claim)
            raise unavailable(
                f"It is not known whether the order was accepted. {_advice(order_id, keyed=keyed)}",
                retry_after=RETRY_PUBLISH_SECONDS,
                orderId=order_id,
            ) from error
        body = answers.encoded(acceptance(placed))
        await self.remember(event, claim=claim, answer=body)
        return Acceptance(order_id, body)

    async def _stored(self, order_id: str) -> Order | None:
        if not self.database.asked_now():
            return None
        try:
            async with asyncio.timeout(STORED_TIMEOUT_SECONDS):
                return await self.stored(order_id)
        except (TransientStoreError, TimeoutError) as error:
            self.database.in_trouble()
            logger.warning("accepting without asking for order %s: %r", order_id, error)
            return None


def _advice(order_id: str, *, keyed: bool) -> str:
    if keyed:
        return "Send it again with the same Idempotency-Key: it is the same order then."
    return f"Look at order {order_id} before you send it again, or send it with an Idempotency-Key."


def derived_id(user: str, key: str) -> str:
    """The id of the order posted by `user` under `key`, whoever asks and whenever."""
    return str(uuid5(KEYED_ORDERS, f"{user}\0{key}"))


def _mismatch() -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "This Idempotency-Key was used with another body; use a new key for a new order.",
        kind="idempotency-key-reused",
        title="Idempotency key reused",
    )
