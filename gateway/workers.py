"""The workers that requests can go to."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import structlog
from yarl import URL

logger = structlog.get_logger()

# A worker whose loop is busy answers late, yet lives: one late check is forgiven.
LATE_CHECKS_UNTIL_DOWN = 2


@dataclass(slots=True, eq=False)
class Worker:
    """One worker.

    Attributes:
        url: where it listens, without a slash at the end.
        live: whether requests go to it; not before its first successful check.
        outstanding: requests sent to it whose answers have not ended.
    """

    url: str
    live: bool = False
    outstanding: int = 0
    late_checks: int = field(default=0, repr=False)

    def mark_live(self) -> None:
        """A check succeeded."""
        self.late_checks = 0
        if not self.live:
            self.live = True
            logger.info("worker is live", worker=self.url)

    def mark_late(self) -> None:
        """A check was not answered in time."""
        self.late_checks += 1
        if self.late_checks >= LATE_CHECKS_UNTIL_DOWN:
            self.mark_down("does not answer in time")

    def mark_down(self, reason: str) -> None:
        """It can't be reached: nothing is sent to it until the next successful check."""
        if self.live:
            self.live = False
            logger.warning("worker is down", worker=self.url, reason=reason)


class Workers:
    """All workers, and whose turn it is."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = tuple(Worker(url) for url in urls)
        self._next = 0

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def live(self) -> int:
        """How many are live."""
        return sum(worker.live for worker in self._all)

    def choose(self, tried: Collection[Worker]) -> Worker | None:
        """The live worker with the fewest outstanding requests, in turn among equals."""
        fewest: float = math.inf
        chosen = None
        count = len(self._all)
        for step in range(count):
            place = (self._next + step) % count
            worker = self._all[place]
            if worker.live and worker.outstanding < fewest and worker not in tried:
                chosen, fewest, after = worker, worker.outstanding, place + 1
        if chosen is not None:
            self._next = after % count
        return chosen


def worker_urls(listed: str) -> tuple[str, ...]:
    """The workers' addresses in a comma-separated list, each once.

    Raises:
        ValueError: there is none, or one is not the URL of a server.
    """
    urls = []
    for part in listed.split(","):
        if not part.strip():
            continue
        url = URL(part.strip())
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"GATEWAY_WORKERS: {part.strip()!r} is not the URL of a server")
        if url.path != "/" or url.query_string or url.fragment or url.user:
            raise ValueError(f"GATEWAY_WORKERS: {part.strip()!r} has more than host and port")
        urls.append(str(url.origin()))
    if not urls:
        raise ValueError("GATEWAY_WORKERS names no worker")
    return tuple(dict.fromkeys(urls))
