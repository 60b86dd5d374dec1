"""Sends a request to a worker, and to another where that is safe, until an answer begins.

The rules: docs/adr/0005-gateway-routing.md and docs/adr/0010-breakers-bulkheads-budgets.md.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import ClientError, ClientResponse, ClientSession, hdrs
from yarl import URL

from app.settings import Settings
from app.telemetry.context import Place, parse
from gateway import problem
from gateway.budget import REQUEST_TIMEOUT, Deadline, RetryBudget, backoff
from gateway.bulkhead import Kind, kind_of
from gateway.headers import INSTANCE_ID, Headers
from gateway.metrics import Metrics
from gateway.problem import ProblemError
from gateway.spans import CallSpans
from gateway.tracing import TRACEPARENT
from gateway.upstream import BrokenOffError, NeverSentError
from gateway.workers import Turn, Worker, Workers

# RFC 9110, 9.2.2: done twice is done once.
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# The worker gives the same answer to the same key, so such a POST is done once as well.
IDEMPOTENCY_KEY = "Idempotency-Key"
# What a proxy in front of a worker says when that can't be reached. A worker's own such answer
# carries its name, and is about the one request.
PROXIES_SAY = frozenset({502, 503, 504})
# A place is free, or a pause over, within a moment; a whole number is the least that can be said.
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as every worker would get it."""

    method: str
    target: str
    headers: Headers
    body: bytes | None

    @property
    def resendable(self) -> bool:
        """Whether it may be sent again although a worker may have done it."""
        return self.method in IDEMPOTENT or (
            self.method == hdrs.METH_POST and IDEMPOTENCY_KEY in self.headers
        )


class Sender:
    """Chooses a worker for each request, and sends it there."""

    def __init__(
        self,
        settings: Settings,
        workers: Workers,
        sessions: Mapping[Kind, ClientSession],
        metrics: Metrics,
        spans: CallSpans | None = None,
    ) -> None:
        self._spans = spans
        self._workers = workers
        self._sessions = sessions
        self._metrics = metrics
        self._budget = RetryBudget(
            ratio=settings.gateway_retry_ratio, floor=settings.gateway_retry_floor
        )
        # By then each worker was checked again.
        self._checked_after = math.ceil(settings.gateway_health_interval_seconds)
        # The worker is told the limit and could say itself that it is over. One that does not is a
        # failure, unless the client left it but a moment.
        self._patience = min(
            settings.gateway_connect_timeout_seconds, settings.gateway_timeout_seconds / 2
        )

    async def first_answer(
        self, outgoing: Outgoing, deadline: Deadline
    ) -> tuple[Turn, ClientResponse]:
        """A worker's answer that has begun, and the turn that ends with it; each worker is tried
        once at most.

        Raises:
            ProblemError: 502, 503 or 504, where none came.
        """
        if deadline.left <= 0:
            raise problem.ran_out()
        attempt = _Attempt(kind_of(outgoing.target, outgoing.headers))
        if self._spans is not None:
            attempt.under = parse(outgoing.headers.get(TRACEPARENT))
        self._budget.earn()
        try:
            async with asyncio.timeout_at(deadline.at):
                return await self._any_answer(outgoing, attempt, deadline)
        except TimeoutError as error:
            if attempt.given >= self._patience:
                attempt.failed()
            raise problem.timed_out(deadline.seconds) from error
        except BrokenOffError as error:
            raise problem.broken_off() from error
        except ClientError as error:
            attempt.failed()
            raise problem.misunderstood() from error
        finally:
            attempt.end()

    async def _any_answer(
        self, outgoing: Outgoing, attempt: "_Attempt", deadline: Deadline
    ) -> tuple[Turn, ClientResponse]:
        while attempt.takes(self._workers):
            if attempt.owes:
                await self._pay(attempt)
            try:
                turn, answer = attempt.done(await self._send(outgoing, attempt, deadline))
                if attempt.resends and _is_own_claim(outgoing, answer):
                    turn.succeeded()
                    turn.leave()
                    answer.close()
                    raise problem.unsure(answer.headers[hdrs.RETRY_AFTER])
                return turn, answer
            except NeverSentError as error:
                attempt.failed()
                attempt.worker.mark_down(str(error))
            except BrokenOffError as error:
                attempt.failed()
                if error.answering or not outgoing.resendable:
                    raise
                attempt.owes = True
        raise problem.broken_off() if attempt.resends or attempt.owes else self._nobody(attempt)

    async def _send(
        self, outgoing: Outgoing, attempt: "_Attempt", deadline: Deadline
    ) -> ClientResponse:
        outgoing.headers[REQUEST_TIMEOUT] = deadline.for_worker()
        attempt.given = deadline.left

        async def request() -> ClientResponse:
            return await self._sessions[attempt.kind].request(
                outgoing.method,
                URL(attempt.worker.url + outgoing.target, encoded=True),
                headers=outgoing.headers,
                data=outgoing.body,
                allow_redirects=False,
            )

        if self._spans is None:
            return await request()
        return await self._spans.send(
            outgoing, attempt.under, attempt.worker.url, attempt.resends, request
        )

    async def _pay(self, attempt: "_Attempt") -> None:
        """Wait a little before it is sent again, if it may be.

        Raises:
            ProblemError: 503, the budget is used up.
        """
        allowed = self._budget.spend()
        self._metrics.resent(allowed=allowed)
        if not allowed:
            raise problem.not_again(RETRY_AFTER_SECONDS)
        await asyncio.sleep(backoff(attempt.resends))
        attempt.resends += 1
        attempt.owes = False

    def _nobody(self, attempt: "_Attempt") -> ProblemError:
        """Why there is nobody to send it to: nothing was sent yet."""
        reachable = [
            worker for worker in self._workers if worker.live and worker not in attempt.tried
        ]
        if not reachable:
            return problem.no_worker(self._checked_after)
        if any(worker.places[attempt.kind].full for worker in reachable if worker.breaker.admits):
            self._metrics.refused("full")
            return problem.busy(RETRY_AFTER_SECONDS)
        self._metrics.refused("open")
        now = time.monotonic()
        soonest = min(worker.breaker.retry_at or now for worker in reachable)
        return problem.failing(max(RETRY_AFTER_SECONDS, math.ceil(soonest - now)))


def _is_own_claim(outgoing: Outgoing, answer: ClientResponse) -> bool:
    """Whether a worker waits for the post that broke off at another: it still has the key's claim.

    The client sent one post, and is not to be told that it sent two.
    """
    return (
        outgoing.method == hdrs.METH_POST
        and answer.status == HTTPStatus.CONFLICT
        and hdrs.RETRY_AFTER in answer.headers
    )


class _Attempt:
    """What became of a request so far."""

    __slots__ = ("given", "kind", "owes", "resends", "tried", "turn", "under")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.tried: list[Worker] = []
        self.turn: Turn | None = None
        self.owes = False
        self.resends = 0
        self.given = 0.0
        # The span that each attempt's is below.
        self.under: Place | None = None

    @property
    def worker(self) -> Worker:
        return self.tried[-1]

    def takes(self, workers: Workers) -> bool:
        """Whether there is a worker for it, whose turn begins."""
        self.turn = workers.take(self.tried, self.kind)
        if self.turn is None:
            return False
        self.tried.append(self.turn.worker)
        return True

    def done(self, answer: ClientResponse) -> tuple[Turn, ClientResponse]:
        """The answer, whose turn is the receiver's from now on."""
        turn, self.turn = self.turn, None
        assert turn is not None, "nobody answers without a turn"
        if answer.status in PROXIES_SAY and INSTANCE_ID not in answer.headers:
            turn.failed()
        else:
            turn.answered()
        return turn, answer

    def failed(self) -> None:
        """The worker did not do what it should."""
        if self.turn is not None:
            self.turn.failed()
            self.end()

    def end(self) -> None:
        """Give up the place, if there is one still."""
        if self.turn is not None:
            self.turn.leave()
            self.turn = None
