"""When records are taken again, after a few of them.

A fetch is answered as soon as there is one record. Where records come one by one, each is then
fetched, handled and written alone, which costs several times what it costs among others; so that a
process is busy long before it has much to do, and whatever else it does waits. With a gap after a
fetch that brought few, those that come meanwhile are taken together. A record that comes after a
quiet moment is taken at once, and a fetch that brings many is followed by the next one at once:
neither a lone order nor a backlog waits.
"""

import time
from collections.abc import Callable

# A take of so many is no few: what records cost one by one is shared by then.
PLENTY_RECORDS = 100


class Pace:
    """Keeps a consumer's takes of few records apart.

    Args:
        gap: seconds between the end of such a take and the next one; 0 keeps nothing apart.
        clock: monotonic seconds.
    """

    def __init__(self, gap: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = gap
        self._clock = clock
        self._next = 0.0

    @property
    def left(self) -> float:
        """Seconds until records should be taken again; 0 where it may be at once."""
        return max(0.0, self._next - self._clock())

    def took(self, records: int) -> None:
        """So many were taken just now."""
        if 0 < records < PLENTY_RECORDS:
            self._next = self._clock() + self._gap
