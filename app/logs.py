"""Keeping logs readable, and bounded: the same line at most once in a while, so many in all."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVERY_SECONDS = 10.0
# Lines are told apart by their templates, of which a program has some hundred.
TEMPLATES_MAX = 1000
# A handful of orders that somebody places to look at have some ten lines in each service.
BURST_SECONDS = 10.0


@dataclass(slots=True)
class _Seen:
    until: float
    more: int = 0


@dataclass(slots=True)
class Sparse:
    """A filter that lets a line's template pass once in `seconds`, and then says how many it held
    back. A line is never held back for good: the next that passes counts it."""

    seconds: float = EVERY_SECONDS
    clock: Callable[[], float] = time.monotonic
    _seen: dict[tuple[str, int, str], _Seen] = field(default_factory=dict)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; `logging` calls it."""
        key = (record.name, record.levelno, str(record.msg))
        now = self.clock()
        seen = self._seen.get(key)
        if seen is not None and now < seen.until:
            seen.more += 1
            return False
        if len(self._seen) >= TEMPLATES_MAX:
            self._seen.clear()
        self._seen[key] = _Seen(now + self.seconds)
        if seen is not None and seen.more:
            record.msg = f"{record.msg} ({seen.more} more like it since the last)"
        return True


def sparse(*names: str) -> None:
    """Make these loggers sparse."""
    for name in names:
        logging.getLogger(name).addFilter(Sparse())


@dataclass(slots=True)
class Allowance:
    """How many lines may be written: so many a second, and after a pause those of
    `BURST_SECONDS` at once (a token bucket).

    Args:
        per_second: 0 allows none.
    """

    per_second: float
    clock: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.per_second * BURST_SECONDS
        self._at = self.clock()

    def take(self, wanted: int = 1) -> int:
        """How many of `wanted` lines may be written now; they are taken as written."""
        if not self.per_second:
            return 0
        now = self.clock()
        most = self.per_second * BURST_SECONDS
        self._left = min(most, self._left + (now - self._at) * self.per_second)
        self._at = now
        granted = min(wanted, int(self._left))
        self._left -= granted
        return granted
