"""What a process of the pool does; it imports nothing, so that such a process is small."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

# Behind everything else that wants the processor: the answers of the event loops come first.
NICENESS = 10


def begin() -> None:
    """Called once in each process of the pool."""
    # Ctrl-C reaches all processes of a terminal; the gateway ends its pool in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A killed gateway can't end its pool, and the pool's queue would be waited at for ever.
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(0)


def count_primes(below: int) -> int:
    """How many primes there are below `below`, by trial division: work for a processor alone."""
    count = 1 if below > 2 else 0
    for candidate in range(3, below, 2):
        divisor = 3
        while divisor * divisor <= candidate:
            if candidate % divisor == 0:
                break
            divisor += 2
        else:
            count += 1
    return count
