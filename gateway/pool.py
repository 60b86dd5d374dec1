"""Work for the processor, done in other processes so that the event loop goes on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

import structlog

from gateway.primes import begin

logger = structlog.get_logger()

# Above the longest piece of work, a second or two, on a busy machine; with it the gateway is
# still gone before its launcher loses patience (`DRAIN_SECONDS` in gateway/server.py).
LEAVE_SECONDS = 5.0

R = TypeVar("R")


class FullError(Exception):
    """As much work waits as may."""


class Pool:
    """A bounded number of processes, with a bounded queue. They start with the first work.

    Args:
        processes: so many pieces of work are done at once.
        queue: so many may wait.
    """

    def __init__(self, processes: int, queue: int) -> None:
        self._processes = processes
        self._places = processes + queue
        self._taken = 0
        self._executor: ProcessPoolExecutor | None = None

    @property
    def taken(self) -> int:
        """Pieces of work that are done or wait now."""
        return self._taken

    async def run(self, work: Callable[[int], R], argument: int) -> R:
        """The work's result. A process that dies under it is replaced, and the work done again.

        Work that waits is dropped when its caller is cancelled; work that has begun is finished,
        and holds its place until then.

        Raises:
            FullError: nothing was done, since as much waits as may.
            BrokenProcessPool: the processes die again and again.
        """
        if self._taken >= self._places:
            raise FullError
        executor = self._running()
        try:
            return await self._submit(executor, work, argument)
        except BrokenProcessPool as error:
            logger.warning("a process of the pool died", error=str(error))
            self._drop(executor)
            return await self._submit(self._running(), work, argument)

    async def close(self) -> None:
        """End the processes: what has begun is finished, unless that takes too long."""
        if self._executor is None:
            return
        leaving = asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await leaving
        except TimeoutError:
            # The gateway has no other children.
            for child in active_children():
                child.kill()

    def _running(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # Spawned, since a fork would copy locks that other threads hold at that moment.
            self._executor = ProcessPoolExecutor(
                self._processes, mp_context=get_context("spawn"), initializer=begin
            )
        return self._executor

    def _drop(self, broken: ProcessPoolExecutor) -> None:
        """All that was submitted to it fails at once, and the first to come here replaces it."""
        if self._executor is broken:
            self._executor = None
            broken.shutdown(wait=False)

    async def _submit(self, executor: ProcessPoolExecutor, work: Callable[[int], R], n: int) -> R:
        loop = asyncio.get_running_loop()
        future = executor.submit(work, n)
        self._taken += 1
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free))
        return await asyncio.wrap_future(future)

    def _free(self) -> None:
        self._taken -= 1
