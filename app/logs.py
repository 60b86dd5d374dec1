"""Keeping logs readable while something is away: the same line at most once in a while."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVERY_SECONDS = 10.0
# Lines are told apart by their templates, of which a program has some hundred.
TEMPLATES_MAX = 1000


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
