"""A service's Faust app: how it starts, says whether it is ready and how far behind, and stops."""

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust

from app.identity.configured import openness
from app.resources import Resources
from app.settings import settings
from app.streaming.lag import Lag, Partition
from app.streaming.stuck import Stuck
from app.topic_admin import BrokerRefusedError, TopicError, TopicMismatchError, ensure_topics

logger = logging.getLogger(__name__)

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: starting again will not help, as with these
NEEDS_SOMEBODY = (TopicMismatchError, BrokerRefusedError)
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: the broker is not there yet
EXIT_SOFTWARE = 70  # EX_SOFTWARE: whoever supervises starts it again

# Connecting to the broker, creating topics and joining the group take some seconds.
START_TIMEOUT_SECONDS = 30.0
# Longer than the drain time-out; without a broker, the last commit would wait for ever.
STOP_TIMEOUT_SECONDS = 25.0
# The broker is asked where the partitions end that are behind: as often as Prometheus asks a
# worker, or nearly.
LAG_LOOK_SECONDS = 5.0
# Chunks are thousands of objects that live for some milliseconds. By Python's defaults (700, 10,
# 10) they start a collection every few records, and each hundredth walks over all that there is: a
# third of the time of a fold.
COLLECT_AFTER = (100_000, 20, 100)


def end_process(error: BaseException) -> None:
    """End at once: a clean stop could commit what was not done."""
    logger.critical("ending the process: %r", error)
    logging.shutdown()
    os._exit(EXIT_SOFTWARE)


def give_up_stopping() -> None:
    """End without having left the groups: what was not committed is done again by another."""
    logger.critical("stopping took longer than %s s", STOP_TIMEOUT_SECONDS)
    logging.shutdown()
    os._exit(EXIT_SOFTWARE)


class ServiceApp(faust.App):
    """A service's Faust app; makes sure at its start that the topics are as they must be."""

    joined = False
    # The main app's: it closes them when all else has stopped.
    resources: Resources | None = None
    # The main app's: the start of the others, which a stop has to let end.
    starting: "asyncio.Future[Any] | None" = None
    # The main app's: the time it still serves after it was told to stop.
    leaving: "asyncio.Task[None] | None" = None
    # What runs beside it from its start on, its tables' recovery included.
    watches: tuple[Callable[[], Awaitable[None]], ...] = ()
    _lag: Lag | None = None
    _stuck: Stuck | None = None

    async def on_start(self) -> None:
        """Create and check the topics before the first consumer asks for them."""
        try:
            await ensure_topics(settings())
        except TopicError as error:
            logger.critical("refusing to start: %s", error)
            logging.shutdown()
            os._exit(EXIT_CONFIG if isinstance(error, NEEDS_SOMEBODY) else EXIT_UNAVAILABLE)
        gc.set_threshold(*COLLECT_AFTER)
        if self.resources is not None:
            warning = openness(self.resources.settings, self.resources.settings.worker_bind)
            if warning is not None:
                logger.warning(warning)
        await super().on_start()
        for watch in self.watches:
            self.add_future(watch())

    async def look_at_lag(self) -> None:
        """Look how far behind it is and whether it moves, until it stops; from now on `lag` and
        `stuck` say so."""
        if self.producer_only:
            return
        self._lag = Lag(self.consumer)
        self._stuck = Stuck(self.conf.id, self.consumer)
        while not self.should_stop:
            await self.sleep(LAG_LOOK_SECONDS)
            await self._lag.look()
            self._stuck.look(self._lag.now(), able=self.ready and not self.recovering)

    def lag(self) -> Mapping[Partition, int]:
        """Records of each partition that it holds that are not finished."""
        return self._lag.now() if self._lag is not None else {}

    def stuck(self) -> Mapping[Partition, float]:
        """For how many seconds each partition that it holds has been behind without moving."""
        return self._stuck.now() if self._stuck is not None else {}

    def behind(self, tp: Partition) -> bool:
        """Whether it has not finished all that the partition holds, or can't say yet."""
        return self._lag is None or self._lag.behind(tp)

    async def stop(self) -> None:
        """Stop; but not in the middle of a start, where Faust would wait for ever, and not before
        the gateways know: until then all is served and processed as ever."""
        if self.starting is not None:
            self.leaving = self.leaving or asyncio.create_task(self._leave(self.starting))
            await asyncio.shield(self.leaving)
        await super().stop()

    async def _leave(self, starting: "asyncio.Future[Any]") -> None:
        await asyncio.wait((starting,), timeout=START_TIMEOUT_SECONDS)
        if self.resources is not None and self.joined and not self.crashed:
            seconds = self.resources.settings.shutdown_delay_seconds
            logger.info("told to stop: serving for %s s more, until no gateway asks", seconds)
            await asyncio.sleep(seconds)
        asyncio.get_running_loop().call_later(STOP_TIMEOUT_SECONDS, give_up_stopping)

    async def on_shutdown(self) -> None:
        """Close the connections once the web server and the agents have stopped."""
        await super().on_shutdown()
        if self.resources is not None:
            await self.resources.close()

    @property
    def ready(self) -> bool:
        """Whether it takes part in its consumer group, is not being moved, and has its tables."""
        if self.producer_only:
            return not self.should_stop
        return (
            self.joined
            and not self.rebalancing
            and not self.should_stop
            and bool(self.tables.actives_ready)
        )

    @property
    def recovering(self) -> bool:
        """Whether its tables are being read back."""
        return bool(self.in_recovery)
