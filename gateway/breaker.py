"""A circuit breaker: what keeps failing is left alone for a while, then tried with one request.

Pure: the clock and the random source are given. What counts as a failure is the caller's to say;
see docs/adr/0010-breakers-bulkheads-budgets.md.
"""

import random
import time
from collections.abc import Callable
from enum import IntEnum

# Failures in a row that open it: one or two happen to the best.
FAILURES = 3
# The first time it stays open; doubled each time a probe fails.
OPEN_SECONDS = 1.0
# Not longer: a target that is well again is found out within half a minute.
OPEN_MOST_SECONDS = 30.0
# Doubled more often it is above any limit, and no number overflows.
DOUBLED_MOST = 16


class State(IntEnum):
    """What the metric `circuit_breaker_state` says."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """The breaker of one target.

    `enter` gives a pass, and what came of it is said once with that pass: `failed`, `succeeded` or
    `left`, where nobody will know; `answered` before that, where an answer has begun. A pass from
    before the state changed says nothing about now, and is ignored.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        open_most_seconds: float = OPEN_MOST_SECONDS,
    ) -> None:
        self._clock = clock
        self._uniform = uniform
        self._threshold = failures
        self._open_seconds = open_seconds
        self._open_most_seconds = open_most_seconds
        self._era = 0
        self._times_opened = 0
        self._probing = False
        self.failures = 0
        """Failures in a row."""
        self.opened_at: float | None = None
        """When it opened, by the clock; None while it is closed."""
        self.retry_at: float | None = None
        """From when on it admits a probe; None while it is closed."""

    @property
    def state(self) -> State:
        """Half-open once a probe may go or is on its way, whether or not there is a request."""
        if self.retry_at is None:
            return State.CLOSED
        return State.OPEN if self._clock() < self.retry_at else State.HALF_OPEN

    @property
    def admits(self) -> bool:
        """Whether a request may go to the target now."""
        if self.retry_at is None:
            return True
        return not self._probing and self._clock() >= self.retry_at

    def enter(self) -> int:
        """The pass of a request, which `admits` has allowed just now."""
        if self.retry_at is not None:
            self._probing = True
            self._era += 1
        return self._era

    def answered(self, era: int) -> None:
        """An answer has begun: enough of a probe, since it may go on for hours. Until an answer
        has also ended well the next failure opens again."""
        if era == self._era and self._probing:
            self._close(self._threshold - 1)

    def succeeded(self, era: int) -> None:
        """All of an answer came."""
        self.answered(era)
        if self.retry_at is None:
            self.failures = 0
            self._times_opened = 0

    def failed(self, era: int) -> None:
        """The target did not do what it should."""
        if era == self._era:
            self._count()

    def left(self, era: int) -> None:
        """Nobody will know what came of it: the next request is the probe instead."""
        if era == self._era:
            self._probing = False

    def unreachable(self) -> None:
        """Something other than a request could not reach the target: that confirms failures of
        requests. By itself it opens nothing, so that a target may stop and start in order."""
        if self._probing or not self.failures or self.state is State.OPEN:
            return
        if self.state is State.HALF_OPEN:
            # That it is away says nothing about how it will do: the pauses grow with probes alone.
            self._times_opened = 0
        self._count()

    def retry_now(self) -> None:
        """The target is there again: it need not be left alone any longer."""
        if self.retry_at is not None:
            self.retry_at = min(self.retry_at, self._clock())

    def _count(self) -> None:
        self.failures += 1
        if self.failures >= self._threshold:
            self._open()

    def _open(self) -> None:
        now = self._clock()
        seconds = min(
            self._open_seconds * 2 ** min(self._times_opened, DOUBLED_MOST),
            self._open_most_seconds,
        )
        self._times_opened += 1
        self._era += 1
        self._probing = False
        if self.opened_at is None:
            self.opened_at = now
        # Breakers that opened together, in all gateways, don't try the target together.
        self.retry_at = now + self._uniform(seconds / 2, seconds)

    def _close(self, failures: int) -> None:
        self.failures = failures
        self._probing = False
        self.opened_at = self.retry_at = None
