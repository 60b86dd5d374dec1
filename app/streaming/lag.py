"""How far a consumer is behind, in records, of each partition that it holds.

What is finished and the highwater of the last fetch say so without asking anybody. But a partition
that is not being fetched from (its lane is held, or its tables are being read back) hears of no new
highwater, and would seem no further behind than when it stopped. So of those that are behind, and
of those alone, the broker is asked, all in one go and at an interval that the caller keeps.
"""

import asyncio
import logging
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiokafka.errors import KafkaError
from faust.exceptions import FaustError

logger = logging.getLogger(__name__)

# Below the interval at which it is asked.
ASK_TIMEOUT_SECONDS = 4.0


class Partition(Protocol):
    """A topic's partition; a key of mappings."""

    @property
    def topic(self) -> str:
        """Its topic's name."""
        ...

    @property
    def partition(self) -> int:
        """Its number."""
        ...


class Held(Protocol):
    """A consumer's partitions."""

    def held(self) -> Collection[Partition]:
        """The partitions that are this consumer's now."""
        ...

    def finished(self, tp: Partition) -> int:
        """The offset before which all is finished; 0 where nothing is known to be."""
        ...


class Holder(Held, Protocol):
    """A consumer that knows their ends, or asks for them."""

    def fetched_end(self, tp: Partition) -> int | None:
        """The partition's end as of the last fetch from it."""
        ...

    def asked_ends(self, tps: Collection[Partition]) -> Awaitable[Mapping[Partition, int]]:
        """The partitions' ends; asks the broker."""
        ...

    def asked_begins(self, tps: Collection[Partition]) -> Awaitable[Mapping[Partition, int]]:
        """The first offsets that the partitions still have; asks the broker."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    begin: int = 0
    end: int | None = None


class Lag:
    """The lag of one consumer."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._asked: Mapping[Partition, _Asked] = {}

    def now(self) -> dict[Partition, int]:
        """Records that are not finished, of each partition that is held and whose end is known."""
        found = {}
        for tp in self._holder.held():
            asked = self._asked.get(tp, _Asked())
            ends = [end for end in (self._holder.fetched_end(tp), asked.end) if end is not None]
            if ends:
                # What retention has deleted is not behind.
                found[tp] = max(max(ends) - max(self._holder.finished(tp), asked.begin), 0)
        return found

    def behind(self, tp: Partition) -> bool:
        """Whether the partition has records that are not finished; also where nobody can say yet,
        since nothing was fetched from it, not even that there is nothing, since it was given out.
        """
        return self._unfinished(tp, self._asked.get(tp, _Asked()).begin)

    async def look(self) -> None:
        """Ask the broker about those that are behind, or whose end is not known; without an answer
        it stays as it was."""
        # Where they were said to begin does not count: what was asked would be forgotten by it.
        behind = [tp for tp in self._holder.held() if self._unfinished(tp)]
        if not behind:
            self._asked = {}
            return
        try:
            async with asyncio.timeout(ASK_TIMEOUT_SECONDS):
                ends = await self._holder.asked_ends(behind)
                begins = await self._holder.asked_begins(behind)
        except (KafkaError, FaustError, TimeoutError, OSError) as error:
            logger.debug("the broker does not say where partitions end: %r", error)
            return
        self._asked = {tp: _Asked(begins.get(tp) or 0, ends.get(tp)) for tp in behind}

    def _unfinished(self, tp: Partition, begin: int = 0) -> bool:
        end = self._holder.fetched_end(tp)
        return end is None or end > max(self._holder.finished(tp), begin)
