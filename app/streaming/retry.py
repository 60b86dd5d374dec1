"""Exponential backoff with full jitter.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: uniform between nothing and a bound that doubles up to `most`.

    Attributes:
        first: the bound before the second attempt, seconds.
        most: the highest bound, seconds; keep it far below the rebalance time-out.
    """

    first: float = 0.05
    most: float = 2.0
    uniform: Callable[[float, float], float] = random.uniform

    def waits(self) -> Iterator[float]:
        """The waits, in seconds, without end."""
        bound = self.first
        while True:
            yield self.uniform(0, bound)
            bound = min(bound * 2, self.most)


@contextmanager
def cancelled_elsewhere() -> Iterator[None]:
    """Make a fault of a cancellation that this task was not asked for.

    What it waited for was cancelled, such as the reply of a connection that was given up. Taken for
    the task's own end, it would end a loop that nobody wanted to end, without a word.

    Raises:
        ConnectionAbortedError: instead of such a cancellation.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionAbortedError("what was waited for was cancelled") from error
