"""Passes a request on to a worker, and its answer back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, web
from multidict import CIMultiDict

from app.settings import Settings
from gateway import problem
from gateway.budget import REQUEST_TIMEOUT, Deadline, asked_seconds
from gateway.bulkhead import Kind
from gateway.headers import Headers, to_client, to_worker
from gateway.keys import WHOLE
from gateway.metrics import Metrics
from gateway.sending import Outgoing, Sender
from gateway.spans import CallSpans
from gateway.tracing import told_of, trace_of
from gateway.workers import Turn, Workers

logger = structlog.get_logger()

PREFIX = "/api"
# A body of 1 MiB takes 8 s at 1 Mbit/s; who is much slower holds the connection on purpose.
BODY_SECONDS = 30.0


# What an own call reads of an answer; the largest page of any view is below 1 MiB.
CALL_BODY_MAX_BYTES = 4 * 1_048_576


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's whole answer to a call of the gateway's own."""

    status: int
    headers: Headers
    body: bytes


class Proxy:
    """Sends requests to the workers."""

    def __init__(
        self,
        settings: Settings,
        workers: Workers,
        sessions: Mapping[Kind, ClientSession],
        metrics: Metrics,
        spans: CallSpans | None = None,
    ) -> None:
        self._sender = Sender(settings, workers, sessions, metrics, spans)
        self._name = settings.gateway_name
        self._body_max = settings.body_max_bytes
        self._limit_seconds = settings.gateway_timeout_seconds

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer of the first worker that gives one; each is tried once at most."""
        deadline = self._deadline(
            asked_seconds(request.headers.getall(REQUEST_TIMEOUT, ()), self._limit_seconds)
        )
        outgoing = Outgoing(
            request.method,
            target_of(request.raw_path),
            to_worker(request, trace_of(request), prefix=PREFIX, gateway=self._name),
            await self._body_of(request, deadline),
        )
        turn, answer = await self._sender.first_answer(outgoing, deadline)
        try:
            return await relay(request, answer, turn)
        finally:
            turn.leave()

    async def call(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        seconds: float,
    ) -> Answer:
        """A worker's answer to a request of the gateway's own, chosen, limited and resent like any
        client's.

        Args:
            target: path and query at the worker, without `/api`, such as `/users?limit=5`.
            headers: as the worker gets them, the trace's among them.
            seconds: until the answer is here whole.

        Raises:
            ProblemError: 503 nobody could be asked, 504 no answer in time, 502 it broke off, can't
                be read or is too large. Any answer that a worker gives is returned.
        """
        deadline = self._deadline(min(seconds, self._limit_seconds))
        outgoing = Outgoing(method, target, CIMultiDict(headers), body)
        turn, answer = await self._sender.first_answer(outgoing, deadline)
        try:
            async with asyncio.timeout_at(deadline.at):
                whole = await _whole(answer)
            turn.succeeded()
        except TimeoutError as error:
            raise problem.timed_out(deadline.seconds) from error
        except _AnswerBrokeError as error:
            turn.failed()
            raise problem.broken_off() from error
        finally:
            turn.leave()
            answer.close()
        return Answer(answer.status, to_client(answer.headers), whole)

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, asyncio.get_running_loop().time)

    async def _body_of(self, request: web.Request, deadline: Deadline) -> bytes | None:
        """The whole body, so that it can be sent again."""
        if not request.body_exists:
            return None
        if (request.content_length or 0) > self._body_max:
            raise problem.too_large(self._body_max)
        try:
            async with asyncio.timeout(min(BODY_SECONDS, deadline.left)):
                return await request.read()
        except TimeoutError as error:
            if deadline.left <= 0:
                raise problem.ran_out(close=True) from error
            raise problem.too_slow(BODY_SECONDS) from error
        except web.HTTPRequestEntityTooLarge as error:
            raise problem.too_large(self._body_max) from error


def target_of(raw_path: str) -> str:
    """The request's target at a worker: path and query as the client wrote them, without `/api`.

    Raises:
        ProblemError: it is not under `/api`, or is none that HTTP allows.
    """
    path, mark, query = _origin_form(raw_path).partition("?")
    if path != PREFIX and not path.startswith(PREFIX + "/"):
        raise problem.of_status(web.HTTPNotFound.status_code, {})
    if not raw_path.isascii():
        raise problem.unreadable("Characters beyond ASCII must be percent-encoded in a path.")
    return f"{path.removeprefix(PREFIX) or '/'}{mark}{query}"


def _origin_form(target: str) -> str:
    """The target without scheme and host, which a client may send as well (RFC 9112, 3.2.2)."""
    if target.startswith("/"):
        return target
    _, _, after_scheme = target.partition("://")
    _, slash, rest = after_scheme.partition("/")
    return slash + rest


async def relay(request: web.Request, answer: ClientResponse, turn: Turn) -> web.StreamResponse:
    """Pass the answer on as it comes. An answer that breaks off breaks off at the client too."""
    headers = to_client(answer.headers)
    try:
        if answer.content.is_eof() or WHOLE in request:
            # All of it came at once, or is wanted so: thus it goes, in one write.
            whole = await _whole(answer) if WHOLE in request else await answer.read()
            turn.succeeded()
            return web.Response(
                status=answer.status, reason=answer.reason, headers=headers, body=whole
            )
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await response.prepare(request)
        while chunk := await _next_chunk(answer):
            await response.write(chunk)
        turn.succeeded()
        await response.write_eof()
        return response
    except _AnswerBrokeError as error:
        turn.failed()
        if WHOLE in request:
            raise problem.broken_off() from error
        logger.warning("answer broke off", path=request.path, error=str(error), **told_of(request))
        if request.transport is not None:
            # A connection that is closed in order could end a complete answer.
            request.transport.abort()
        return response
    finally:
        # A connection whose answer has not ended is of no more use; else this does nothing.
        answer.close()


async def _whole(answer: ClientResponse) -> bytes:
    """The answer's body, of bounded size."""
    chunks, size = [], 0
    while chunk := await _next_chunk(answer):
        size += len(chunk)
        if size > CALL_BODY_MAX_BYTES:
            raise problem.misunderstood()
        chunks.append(chunk)
    return b"".join(chunks)


class _AnswerBrokeError(Exception):
    """The worker's answer did not come to its end."""


async def _next_chunk(answer: ClientResponse) -> bytes:
    try:
        return await answer.content.readany()
    except (ClientError, OSError) as error:
        raise _AnswerBrokeError(str(error) or type(error).__name__) from error
