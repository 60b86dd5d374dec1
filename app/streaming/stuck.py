"""Which partitions of a consumer are behind and do not move, and for how long.

Lag that grows is that of a consumer which is too slow as well as of one that does nothing. Here a
partition moves when the end of what is finished, or of what work has begun on, is not where it was
at the last look. One that is held, because what it writes to is away, does not move either: it is
stuck, by design, and is told as such. Whether work is under way, whether fetched records wait and
whether anything flows at all tells an operator the one from the other.

It is looked at by whoever looks at the lag, and nothing is counted for it in between.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from app.streaming.lag import Held, Partition
from app.streaming.tracker import CommitTracker

logger = logging.getLogger(__name__)

# A line of each stuck partition, at most so often, and the first after so long: a batch whose store
# is slow may well take some looks.
TELL_SECONDS = 60.0


class Holder(Held, Protocol):
    """A consumer that tells what it does with them."""

    @property
    def tracker(self) -> CommitTracker[Any]:
        """What of its partitions is in flight."""
        ...

    @property
    def flow_active(self) -> bool:
        """Whether it hands on what it fetches."""
        ...


@dataclass(slots=True)
class _Seen:
    finished: int
    taken: int
    moved: float
    """When it was last seen to move."""
    told: float | None = None
    """When it was last said that it does not."""
    seconds: float = 0.0


class Stuck:
    """The stuck partitions of one consumer.

    Args:
        group: its consumer group, for logs.
        holder: the consumer.
        clock: monotonic seconds.
    """

    def __init__(
        self, group: str, holder: Holder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._group = group
        self._holder = holder
        self._clock = clock
        self._seen: dict[Partition, _Seen] = {}

    def now(self) -> dict[Partition, float]:
        """Seconds since it last moved, of each partition that is held, as of the last look; 0 of
        those that move or are not behind."""
        held = self._holder.held()
        return {tp: self._seen[tp].seconds for tp in held if tp in self._seen}

    def look(self, lag: Mapping[Partition, int], *, able: bool) -> None:
        """Look which have moved.

        Args:
            lag: of each partition that is held, where it is known.
            able: whether they could move: not while partitions are given out anew, or tables read
                back. The time they stood still begins anew afterwards.
        """
        now = self._clock()
        self._seen = {tp: self._looked(tp, behind, now, able) for tp, behind in lag.items()}

    def _looked(self, tp: Partition, behind: int, now: float, able: bool) -> _Seen:
        finished, taken = self._holder.finished(tp), self._holder.tracker.in_flight(tp).taken
        seen = self._seen.get(tp)
        if seen is None or not able:
            return _Seen(finished, taken, now)
        if not behind or (finished, taken) != (seen.finished, seen.taken):
            if seen.told is not None:
                self._tell_that_it_moves(tp, now - seen.moved)
            return _Seen(finished, taken, now)
        seen.seconds = now - seen.moved
        if now - (seen.moved if seen.told is None else seen.told) >= TELL_SECONDS:
            self._tell_that_it_does_not(tp, behind, seen)
            seen.told = now
        return seen

    def _tell_that_it_does_not(self, tp: Partition, behind: int, seen: _Seen) -> None:
        in_flight = self._holder.tracker.in_flight(tp)
        data = self._named(tp) | {
            "position": seen.finished,
            "lag": behind,
            "seconds": round(seen.seconds),
            "under_way": in_flight.under_way,
            "waiting": in_flight.waiting,
            "flow": self._holder.flow_active,
        }
        text = "%s: %s-%d is behind and does not move"
        logger.warning(text, self._group, tp.topic, tp.partition, extra={"data": data})

    def _tell_that_it_moves(self, tp: Partition, seconds: float) -> None:
        data = self._named(tp) | {
            "position": self._holder.finished(tp),
            "seconds": round(seconds),
        }
        text = "%s: %s-%d moves again"
        logger.info(text, self._group, tp.topic, tp.partition, extra={"data": data})

    def _named(self, tp: Partition) -> dict[str, Any]:
        return {"group": self._group, "topic": tp.topic, "partition": tp.partition}
