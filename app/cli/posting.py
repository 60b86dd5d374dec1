"""Posting orders over HTTP: bounded concurrency, an even rate, and the same key on every retry."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
import orjson

from app.money import to_major
from app.retail import Sale
from app.streaming.retry import Backoff

# A worker awaits the broker for PRODUCE_TIMEOUT_SECONDS (10), the gateway retries once.
REQUEST_SECONDS = 30.0
# As long as a broker's restart and a rebalance take, with room; then something is wrong.
RETRY_SECONDS = 120.0
# A server that asks for more patience is asked again after this all the same.
RETRY_AFTER_MOST_SECONDS = 5.0
BACKOFF = Backoff(first=0.1, most=2.0)

# Passing faults. 409: this very key is still in flight, from an attempt whose answer was lost.
RETRIED = frozenset({409, 429, 502, 503, 504})
ACCEPTED = frozenset({200, 202})
# Header of an answer that was given before to the same key.
REPLAYED_HEADER = "Idempotency-Replayed"
DETAIL_CHARACTERS = 200


class Kind(StrEnum):
    """How a post ended."""

    ACCEPTED = "accepted"
    ALREADY_THERE = "already there"
    REFUSED = "refused"
    GAVE_UP = "gave up"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one order's post; `detail` says why it was not accepted."""

    kind: Kind
    order_id: str | None = None
    detail: str = ""


@dataclass(slots=True)
class Posted:
    """What came of all of them.

    Attributes:
        began: wall clock of the first post, seconds since the epoch; `ended` of the last answer.
        ids: the orders that the service has, in the order of the answers.
        known: those of them that it had before.
        unsent: orders that were not even tried, because nothing answered any more.
    """

    began: float = 0.0
    ended: float = 0.0
    kinds: Counter[Kind] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    unsent: int = 0

    @property
    def sent(self) -> int:
        """Orders that were tried."""
        return self.kinds.total()

    @property
    def complete(self) -> bool:
        """Whether every order is with the service."""
        return self.sent == len(self.ids) and not self.unsent

    def note(self, answer: Answer) -> None:
        """Count an answer."""
        self.kinds[answer.kind] += 1
        if answer.order_id is not None:
            self.ids.append(answer.order_id)
            if answer.kind is Kind.ALREADY_THERE:
                self.known.add(answer.order_id)
        if answer.detail:
            self.details[answer.detail] += 1


def body(sale: Sale) -> bytes:
    """The order as `POST /orders` takes it."""
    return orjson.dumps(
        {
            "userId": sale.user_id,
            "items": [
                {
                    "productId": line.product_id,
                    "quantity": line.quantity,
                    "price": to_major(line.price),
                }
                for line in sale.lines
            ],
            "total": to_major(sale.total),
            "country": sale.country,
            "placedAt": sale.placed_at,
        }
    )


class Poster:
    """Posts orders to one address.

    Args:
        url: of the API, such as `http://127.0.0.1:8000/api`.
        retry_seconds: how long a passing fault is retried, for one order.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        retry_seconds: float = RETRY_SECONDS,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/orders"
        self._retry_seconds = retry_seconds
        self._backoff = backoff
        self._last_answer = time.monotonic()

    async def post(self, sale: Sale, on_retry: Callable[[str], None]) -> Answer:
        """Post one order until it is accepted, refused, or `retry_seconds` have passed."""
        content, headers = body(sale), {"Idempotency-Key": sale.invoice}
        give_up = time.monotonic() + self._retry_seconds
        waits = self._backoff.waits()
        attempts = 0
        while True:
            wait = next(waits)
            try:
                async with self._session.post(self._url, data=content, headers=headers) as response:
                    self._last_answer = time.monotonic()
                    if response.status in ACCEPTED:
                        order_id = str(orjson.loads(await response.read())["orderId"])
                        # The answer to a retry may be the one that was lost on its way here.
                        known = not attempts and REPLAYED_HEADER in response.headers
                        return Answer(Kind.ALREADY_THERE if known else Kind.ACCEPTED, order_id)
                    fault = f"HTTP {response.status}"
                    if response.status not in RETRIED:
                        return Answer(Kind.REFUSED, detail=f"{fault}: {await _detail(response)}")
                    wait += _retry_after(response.headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                fault = type(error).__name__
            except (ValueError, KeyError, TypeError):
                return Answer(Kind.REFUSED, detail="the answer is no order in JSON")
            if time.monotonic() + wait > give_up:
                return Answer(Kind.GAVE_UP, detail=fault)
            attempts += 1
            on_retry(fault)
            await asyncio.sleep(wait)

    @property
    def silent(self) -> bool:
        """Whether nothing at all has answered for as long as one order is retried."""
        return time.monotonic() - self._last_answer > self._retry_seconds


async def post_all(
    sales: Iterator[Sale],
    poster: Poster,
    *,
    rate: float,
    concurrency: int,
    on_answer: Callable[[Posted], None] = lambda posted: None,
) -> Posted:
    """Post every order.

    Args:
        rate: orders a second, evenly spread; 0 for as fast as the answers come.
        concurrency: how many wait for an answer at once.
    """
    posted = Posted(began=time.time())
    start = time.monotonic()
    numbered = enumerate(sales)

    async def lane() -> None:
        for number, sale in numbered:
            if poster.silent:
                posted.unsent += 1
                continue
            if rate:
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            posted.note(await poster.post(sale, lambda fault: posted.retries.update((fault,))))
            on_answer(posted)

    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(concurrency):
                lanes.create_task(lane())
    except ExceptionGroup as group:
        # The reader's: it stops in the lane that asked it, and the others are cancelled.
        raise group.exceptions[0] from None
    posted.ended = time.time()
    return posted


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(max(0.0, float(headers.get("Retry-After", 0))), RETRY_AFTER_MOST_SECONDS)
    except ValueError:
        return RETRY_AFTER_MOST_SECONDS


async def _detail(response: aiohttp.ClientResponse) -> str:
    """What the problem document says, or the status's own name."""
    try:
        problem: Any = orjson.loads(await response.read())
        return str(problem["detail"])[:DETAIL_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        return response.reason or "no reason given"
