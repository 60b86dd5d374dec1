"""What a request may use up: time, and the right to be sent again.

Pure: the clock is given. See docs/adr/0010-breakers-bulkheads-budgets.md.
"""

import random
import re
import time
from collections.abc import Callable, Iterable

from multidict import istr

from gateway import problem

REQUEST_TIMEOUT = istr("X-Request-Timeout")
# More than any limit here, and as many digits after the point as any language prints.
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
# The worker gets that much less than is left, so that its own answer, which knows what was done,
# is here before the time is up: a hop on a busy machine.
HOP_SECONDS = 0.05

# Tokens of so many seconds' floor are kept, for what breaks at one moment: a worker that is killed
# takes all that it was answering along.
KEPT_SECONDS = 10.0
# Before it is sent again a request waits a random time up to this: what broke together does not
# arrive at the next worker together. A fifth of what a client notices.
BACKOFF_SECONDS = 0.02
# Doubled for each further time, at most to this.
BACKOFF_MOST_SECONDS = 0.25
# Doubled more often it is above any limit, and no number overflows.
DOUBLED_MOST = 16


class RetryBudget:
    """A token bucket: each request earns a part of a resend, each resend costs one.

    So resends are at most that part of all requests, however much fails, and a few a second where
    there is little traffic. Without it a failure of all workers would multiply the load on them.

    Args:
        ratio: resends a request.
        floor: resends a second that need not be earned.
    """

    def __init__(
        self, *, ratio: float, floor: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ratio = ratio
        self._floor = floor
        self._clock = clock
        self._most = max(1.0, floor * KEPT_SECONDS) if ratio or floor else 0.0
        self._tokens = self._most
        self._at = clock()

    def earn(self) -> None:
        """A request came."""
        self._tokens = min(self._most, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Whether a request may be sent again; then it is paid for."""
        now = self._clock()
        earned = (now - self._at) * self._floor
        self._tokens = min(self._most, self._tokens + earned)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def backoff(resends: int, *, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds before the next resend, after so many: full jitter."""
    return uniform(0, min(BACKOFF_SECONDS * 2 ** min(resends, DOUBLED_MOST), BACKOFF_MOST_SECONDS))


class Deadline:
    """When a request's time is up: the client's limit or the gateway's, whichever is sooner.

    Args:
        seconds: from now on.
        clock: the event loop's.
    """

    __slots__ = ("_clock", "at", "seconds")

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds = seconds
        self.at = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 or less when the time is up."""
        return self.at - self._clock()

    def for_worker(self) -> str:
        """What the worker is told."""
        left = self.left
        return f"{max(left - HOP_SECONDS, left / 2):.3f}"


def asked_seconds(given: Iterable[str], most: float) -> float:
    """The time limit that `X-Request-Timeout` asks for, at most the gateway's own.

    Raises:
        ProblemError: 400 where it is not a number of seconds.
    """
    values = list(given)
    if not values:
        return most
    if len(values) > 1 or not SECONDS.fullmatch(values[0].strip()):
        raise problem.bad_timeout()
    return min(float(values[0].strip()), most)
