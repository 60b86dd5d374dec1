"""Exponential backoff with full jitter.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import random
from collections.abc import Callable, Iterator
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
