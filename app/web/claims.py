"""What posts under an `Idempotency-Key` share: claims that a lost Redis does not stop, and patience
with a store or a log that is in trouble."""

import logging
import time
from dataclasses import dataclass
from http import HTTPStatus

from app.stores.errors import TransientStoreError
from app.stores.idempotency import Begun, Fresh, Keys
from app.web.problems import ProblemError

logger = logging.getLogger(__name__)

# What was posted is found by its id in a millisecond, or the database is in trouble and not worth
# waiting for: the derived id makes a second post harmless.
STORED_TIMEOUT_SECONDS = 1.0
# While the database is in trouble only so often one post waits that long; the others don't ask.
STORED_PAUSE_SECONDS = 5.0
# Kafka's fetch of metadata after a broker's loss takes about as long.
RETRY_PUBLISH_SECONDS = 2.0


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


async def begin(keys: Keys, user: str, key: str, fingerprint: str) -> Begun | None:
    """Claim the key; None where that can't be asked now."""
    try:
        return await keys.begin(user, key, fingerprint)
    except TransientStoreError as error:
        logger.warning("accepting without idempotency keys: %s", error)
        return None


async def abandon(keys: Keys, claim: Fresh | None, *, forget: bool = False) -> None:
    """Let the same body try again at once; `forget`: nothing was sent, so any body may."""
    if claim is None:
        return
    try:
        await keys.abandon(claim, forget=forget)
    except TransientStoreError as error:
        logger.warning("the claim runs out by itself: %s", error)


def in_flight(seconds: float) -> ProblemError:
    """409: another post under the key is under way."""
    # It ends far sooner than its claim, nearly always.
    return ProblemError(
        HTTPStatus.CONFLICT,
        f"A post with this Idempotency-Key is under way, for {seconds:.0f} s at most.",
        kind="idempotency-key-in-flight",
        title="Post under way",
        headers={"Retry-After": "1"},
    )
