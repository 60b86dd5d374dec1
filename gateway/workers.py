"""The workers that requests can go to, and the choice among them."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog
from yarl import URL

from gateway.breaker import Breaker
from gateway.bulkhead import Compartment, Kind

logger = structlog.get_logger()

Balancing = Literal["least_outstanding", "p2c", "round_robin"]

# A worker whose loop is busy answers late, yet lives: one late check is forgiven.
LATE_CHECKS_UNTIL_DOWN = 2
# Twice the pool: as many again may wait for a connection while a burst passes.
ORDINARY_MAX = 400
# Each costs two connections and no work.
HELD_MAX = 400
LIMITS: Mapping[Kind, int] = {Kind.ORDINARY: ORDINARY_MAX, Kind.HELD: HELD_MAX}


@dataclass(slots=True, eq=False)
class Worker:
    """One worker.

    Whether its process lives is what the checks of `/livez` say, and a connection that can't be
    made. Whether it does what it is asked is what its breaker says, from what came of requests.
    It gets a request where both agree and there is a place.

    Attributes:
        url: where it listens, without a slash at the end.
        breaker: from what came of its requests.
        places: for each kind of request.
        live: whether it can be reached; not before its first successful check.
    """

    url: str
    breaker: Breaker = field(default_factory=Breaker, repr=False)
    places: Mapping[Kind, Compartment] = field(
        default_factory=lambda: {kind: Compartment(limit) for kind, limit in LIMITS.items()}
    )
    live: bool = False
    late_checks: int = field(default=0, repr=False)

    @property
    def outstanding(self) -> int:
        """Requests sent to it whose answers have not ended."""
        return sum(compartment.taken for compartment in self.places.values())

    def mark_live(self) -> None:
        """A check succeeded."""
        self.late_checks = 0
        if not self.live:
            self.live = True
            self.breaker.retry_now()
            logger.info("worker is live", worker=self.url)

    def mark_late(self) -> None:
        """A check was not answered in time."""
        self.late_checks += 1
        if self.late_checks >= LATE_CHECKS_UNTIL_DOWN:
            self.mark_down("does not answer in time")

    def mark_unreachable(self, reason: str) -> None:
        """A check found nobody: where requests had failed as well, the breaker counts it."""
        self.breaker.unreachable()
        self.mark_down(reason)

    def mark_down(self, reason: str) -> None:
        """It can't be reached: nothing is sent to it until the next successful check."""
        if self.live:
            self.live = False
            logger.warning("worker is down", worker=self.url, reason=reason)


class Turn:
    """A request's turn at a worker: a place in its bulkhead, and a pass of its breaker.

    What came of it is said once; `leave` gives the place back, whatever came.
    """

    __slots__ = ("_breaker", "_judged", "_pass", "_place", "worker")

    def __init__(self, worker: Worker, kind: Kind) -> None:
        self.worker = worker
        self._place = worker.places[kind]
        self._place.enter()
        self._breaker = worker.breaker
        self._pass = self._breaker.enter()
        self._judged = False

    def answered(self) -> None:
        """An answer has begun."""
        if not self._judged:
            self._report(self._breaker.answered)

    def succeeded(self) -> None:
        """All of an answer came."""
        if not self._judged:
            self._judged = True
            self._report(self._breaker.succeeded)

    def failed(self) -> None:
        """The worker did not do what it should."""
        if not self._judged:
            self._judged = True
            self._report(self._breaker.failed)

    def leave(self) -> None:
        """The request is over."""
        if not self._judged:
            self._judged = True
            self._breaker.left(self._pass)
        self._place.leave()

    def _report(self, outcome: Callable[[int], None]) -> None:
        before = self._breaker.retry_at
        outcome(self._pass)
        after = self._breaker.retry_at
        if after != before:
            if after is None:
                logger.info("circuit breaker closed", worker=self.worker.url)
            else:
                logger.warning("circuit breaker opened", worker=self.worker.url)


class Workers:
    """All workers, and whose turn it is.

    Args:
        balancing: how one is chosen. `least_outstanding`: the one with the fewest requests of the
            kind under way, in turn among equals. `p2c`: the better one of two that are drawn.
            `round_robin`: in turn, whatever is under way.
        limits: places of each worker.
        breaker: makes each worker's.
        draw: two of several, by chance.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        balancing: Balancing = "least_outstanding",
        limits: Mapping[Kind, int] = LIMITS,
        breaker: Callable[[], Breaker] = Breaker,
        draw: Callable[[Sequence[Worker], int], list[Worker]] = random.sample,
    ) -> None:
        self._limits = limits
        self._breaker = breaker
        self._all = tuple(self._made(url) for url in urls)
        self._balancing = balancing
        self._draw = draw
        self._next = 0

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def live(self) -> int:
        """How many are live."""
        return sum(worker.live for worker in self._all)

    def replace(self, urls: Collection[str]) -> None:
        """These are the workers now. One that stays keeps its state; what is under way at one
        that goes goes on."""
        known = {worker.url: worker for worker in self._all}
        self._all = tuple(known.get(url) or self._made(url) for url in urls)
        self._next %= max(len(self._all), 1)

    def _made(self, url: str) -> Worker:
        places = {kind: Compartment(self._limits[kind]) for kind in Kind}
        return Worker(url, self._breaker(), places)

    def choose(self, tried: Collection[Worker], kind: Kind = Kind.ORDINARY) -> Worker | None:
        """A worker that lives, whose breaker admits a request, and that has a place for it."""
        after = self._next
        able = [
            worker
            for worker in (*self._all[after:], *self._all[:after])
            if worker.live
            and not worker.places[kind].full
            and worker.breaker.admits
            and worker not in tried
        ]
        if not able:
            return None
        if self._balancing == "round_robin":
            chosen = able[0]
        else:
            if self._balancing == "p2c" and len(able) > 2:
                able = self._draw(able, 2)
            # The first of equals is the one whose turn it is.
            chosen = min(able, key=lambda worker: worker.places[kind].taken)
        self._next = (self._all.index(chosen) + 1) % len(self._all)
        return chosen

    def take(self, tried: Collection[Worker], kind: Kind = Kind.ORDINARY) -> Turn | None:
        """A turn at the chosen worker."""
        worker = self.choose(tried, kind)
        return Turn(worker, kind) if worker is not None else None


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
