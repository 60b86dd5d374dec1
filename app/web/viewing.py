"""Accepting a view of a movie: once a key, and only when it is in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from app.domain.movies import SOURCE, View
from app.events import Event, MovieViewed, timestamp
from app.stores.errors import TransientStoreError
from app.stores.idempotency import Fresh, InFlight, Keys, Mismatch, Replay
from app.web import answers, claims
from app.web.claims import RETRY_PUBLISH_SECONDS, STORED_TIMEOUT_SECONDS, Pause
from app.web.problems import unavailable
from app.web.rendering import view_document
from app.web.requests import milliseconds

logger = logging.getLogger(__name__)

# Made up once; view ids of keyed posts derive from it.
KEYED_VIEWS = UUID("0d5f5c3b-8c1e-4f0b-9d2a-5b7f1c9e2a64")
# A key is the user's and the movie's: with those three the whole post is said, so that no two that
# differ can be under one key, and one fingerprint does for all.
FINGERPRINT = "view"
# A view is in the log by now: a slow Redis may not hold the answer back for long.
COMPLETE_TIMEOUT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Tracked:
    """The answer to a post; `replayed` where it was given before."""

    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Tracker:
    """Accepts views.

    Attributes:
        publish: returns when the event is in the log.
        stored: the view of this id as the database has it.
        publish_seconds: the time limit of one publish.
    """

    keys: Keys
    publish: Callable[[Event], Awaitable[None]]
    stored: Callable[[str], Awaitable[View | None]]
    clock: Callable[[], datetime]
    publish_seconds: float
    database: Pause = field(default_factory=Pause)
    log: Pause = field(default_factory=lambda: Pause(RETRY_PUBLISH_SECONDS))

    async def track(
        self, movie_id: str, user_id: str, key: str | None, traceparent: str
    ) -> Tracked:
        """Accept a view; the same movie, user and key get the same answer.

        Raises:
            ProblemError: 409 the same post is under way, 503 the event could not be published.
        """
        if key is None:
            viewed = self._viewed(str(uuid4()), movie_id, user_id)
            return await self._publish(viewed, None, traceparent)
        claim: Fresh | None = None
        owner = f"{movie_id}\0{user_id}"
        match await claims.begin(self.keys, owner, key, FINGERPRINT):
            case Mismatch():
                raise AssertionError("a key says all that is posted under it")
            case InFlight(seconds=seconds):
                raise claims.in_flight(seconds)
            case Replay(answer=answer):
                return Tracked(answer, replayed=True)
            case Fresh() as claim:
                pass
        viewed = self._viewed(derived_id(movie_id, user_id, key), movie_id, user_id)
        # Redis may have forgotten the key; the view itself is kept.
        before = await self._stored(viewed.view_id)
        if before is not None:
            first = viewed.model_copy(update={"viewed_at": before.viewed_at})
            return await self._answered(first, claim, replayed=True)
        return await self._publish(viewed, claim, traceparent)

    def _viewed(self, view_id: str, movie_id: str, user_id: str) -> MovieViewed:
        return MovieViewed.model_construct(
            view_id=view_id,
            movie_id=movie_id,
            user_id=user_id,
            viewed_at=milliseconds(self.clock()),
        )

    async def _publish(self, viewed: MovieViewed, claim: Fresh | None, traceparent: str) -> Tracked:
        if not self.log.asked_now():
            await claims.abandon(self.keys, claim, forget=True)
            raise unavailable(
                "Views can't be taken now; nothing was done with this one. Send it again.",
                retry_after=RETRY_PUBLISH_SECONDS,
            )
        at = timestamp(viewed.viewed_at)
        event = Event.first(viewed, source=SOURCE, at=at, traceparent=traceparent)
        try:
            async with asyncio.timeout(self.publish_seconds):
                await self.publish(event)
        except Exception as error:  # whatever it is, it may have arrived all the same
            self.log.in_trouble()
            logger.warning("view %s: the log did not confirm it: %r", viewed.view_id, error)
            await claims.abandon(self.keys, claim)
            raise unavailable(
                "It is not known whether the view was taken. Sent again with the same "
                "Idempotency-Key it is the same view.",
                retry_after=RETRY_PUBLISH_SECONDS,
                viewId=viewed.view_id,
            ) from error
        return await self._answered(viewed, claim)

    async def _answered(
        self, viewed: MovieViewed, claim: Fresh | None, *, replayed: bool = False
    ) -> Tracked:
        """Keep the answer under the key. Never fails: a view in the log is taken, whoever forgets
        it."""
        body = answers.encoded(view_document(viewed))
        if claim is not None:
            try:
                async with asyncio.timeout(COMPLETE_TIMEOUT_SECONDS):
                    await self.keys.complete(claim, body)
            except (TransientStoreError, TimeoutError) as error:
                logger.warning("view %s: its key is not kept: %r", viewed.view_id, error)
        return Tracked(body, replayed=replayed)

    async def _stored(self, view_id: str) -> View | None:
        if not self.database.asked_now():
            return None
        try:
            async with asyncio.timeout(STORED_TIMEOUT_SECONDS):
                return await self.stored(view_id)
        except (TransientStoreError, TimeoutError) as error:
            self.database.in_trouble()
            logger.warning("accepting without asking for view %s: %r", view_id, error)
            return None


def derived_id(movie_id: str, user_id: str, key: str) -> str:
    """The id of the user's view of the movie posted under `key`, whoever asks and whenever."""
    return str(uuid5(KEYED_VIEWS, f"{movie_id}\0{user_id}\0{key}"))
