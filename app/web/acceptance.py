"""Accepting an order: once a key, and only when it is in the log."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Protocol
from uuid import UUID, uuid4, uuid5

from app.domain.order import SOURCE, Order
from app.events import Event, timestamp
from app.stores.errors import TransientStoreError
from app.stores.idempotency import Begun, Fresh, InFlight, Keys, Mismatch, Replay
from app.web import answers
from app.web.problems import ProblemError, unavailable
from app.web.rendering import acceptance
from app.web.requests import PlaceOrder

logger = logging.getLogger(__name__)

# Made up once; order ids of keyed posts derive from it.
KEYED_ORDERS = UUID("6f8a3c0e-53a1-4b56-9d0f-2d9b9d6e7c41")
# An order is found by its id in a millisecond, or the database is in trouble and not worth waiting
# for: the derived id makes a second post harmless.
STORED_TIMEOUT_SECONDS = 1.0
# While the database is in trouble only so often one post waits that long; the others don't ask.
STORED_PAUSE_SECONDS = 5.0
# Kafka's fetch of metadata after a broker's loss takes about as long.
RETRY_PUBLISH_SECONDS = 2.0


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


@dataclass(slots=True)
class Pause:
    """Leaves a store alone for a while after it did not answer."""

    seconds: float = STORED_PAUSE_SECONDS
    until: float = 0.0

    def asked_now(self) -> bool:
        """Whether the store may be asked."""
        return time.monotonic() >= self.until

    def in_trouble(self) -> None:
        """It did not answer."""
        self.until = time.monotonic() + self.seconds


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
        match await self._begin(order.user_id, key, fingerprint):
            case Mismatch():
                raise _mismatch()
            case InFlight(seconds=seconds):
                raise _in_flight(seconds)
            case Replay(answer=answer):
                return Acceptance(order_id, answer, replayed=True)
            case Fresh() as claim:
                pass
        # Redis may have forgotten the key; the order itself has not.
        before = await self._stored(order_id)
        if before is not None and before.placed is not None:
            if before.placed.fingerprint != fingerprint:
                await self._abandon(claim, forget=True)
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
            await self._abandon(claim, forget=True)
            raise unavailable(
                "Orders can't be accepted now; nothing was done with this one. Send it again.",
                retry_after=RETRY_PUBLISH_SECONDS,
            )
        now = self.clock()
        placed = order.placed(order_id, now)
        event = Event.first(placed, source=SOURCE, at=timestamp(now), traceparent=traceparent)
        try:
            async with asyncio.timeout(self.publish_seconds):
                await self.publish(event)
        except Exception as error:  # whatever it is, it may have arrived all the same
            self.log.in_trouble()
            logger.warning("order %s: the log did not confirm it: %r", order_id, error)
            await self._abandon(claim)
            raise unavailable(
                f"It is not known whether the order was accepted. {_advice(order_id, keyed=keyed)}",
                retry_after=RETRY_PUBLISH_SECONDS,
                orderId=order_id,
            ) from error
        body = answers.encoded(acceptance(placed))
        await self.remember(event, claim=claim, answer=body)
        return Acceptance(order_id, body)

    async def _begin(self, user: str, key: str, fingerprint: str) -> Begun | None:
        try:
            return await self.keys.begin(user, key, fingerprint)
        except TransientStoreError as error:
            logger.warning("accepting without idempotency keys: %s", error)
            return None

    async def _abandon(self, claim: Fresh | None, *, forget: bool = False) -> None:
        if claim is None:
            return
        try:
            await self.keys.abandon(claim, forget=forget)
        except TransientStoreError as error:
            logger.warning("the claim runs out by itself: %s", error)

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


def _in_flight(seconds: float) -> ProblemError:
    # It ends far sooner than its claim, nearly always.
    return ProblemError(
        HTTPStatus.CONFLICT,
        f"A post with this Idempotency-Key is under way, for {seconds:.0f} s at most.",
        kind="idempotency-key-in-flight",
        title="Post under way",
        headers={"Retry-After": "1"},
    )
