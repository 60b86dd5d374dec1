"""Passes a request on to a worker, and its answer back."""

import asyncio
import math
from dataclasses import dataclass

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, hdrs, web
from yarl import URL

from app.settings import Settings
from gateway import problem
from gateway.headers import Headers, to_client, to_worker
from gateway.tracing import trace_of
from gateway.upstream import BrokenOffError, NeverSentError
from gateway.workers import Worker, Workers

logger = structlog.get_logger()

PREFIX = "/api"
# RFC 9110, 9.2.2: done twice is done once.
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# The worker gives the same answer to the same key, so such a POST is done once as well.
IDEMPOTENCY_KEY = "Idempotency-Key"
# A body of 1 MiB takes 8 s at 1 Mbit/s; who is much slower holds the connection on purpose.
BODY_SECONDS = 30.0


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


class Proxy:
    """Sends requests to the workers."""

    def __init__(self, settings: Settings, workers: Workers, session: ClientSession) -> None:
        self._workers = workers
        self._session = session
        self._name = settings.gateway_name
        self._body_max = settings.body_max_bytes
        self._limit_seconds = settings.gateway_timeout_seconds
        # By then each worker was checked again.
        self._retry_after = math.ceil(settings.gateway_health_interval_seconds)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer of the first worker that gives one; each is tried once at most."""
        outgoing = Outgoing(
            request.method,
            target_of(request.raw_path),
            to_worker(request, trace_of(request), prefix=PREFIX, gateway=self._name),
            await self._body_of(request),
        )
        worker, answer = await self._first_answer(outgoing)
        try:
            return await relay(request, answer)
        finally:
            worker.outstanding -= 1

    async def _first_answer(self, outgoing: Outgoing) -> tuple[Worker, ClientResponse]:
        """A worker, and its answer that has begun."""
        tried: set[Worker] = set()
        sent = False
        try:
            async with asyncio.timeout(self._limit_seconds):
                while (worker := self._workers.choose(tried)) is not None:
                    tried.add(worker)
                    try:
                        return worker, await self._send(outgoing, worker)
                    except NeverSentError as error:
                        worker.mark_down(str(error))
                    except BrokenOffError as error:
                        if error.answering or not outgoing.resendable:
                            raise
                        sent = True
        except TimeoutError as error:
            raise problem.timed_out(self._limit_seconds) from error
        except BrokenOffError as error:
            raise problem.broken_off() from error
        except ClientError as error:
            raise problem.misunderstood() from error
        raise problem.broken_off() if sent else problem.no_worker(self._retry_after)

    async def _send(self, outgoing: Outgoing, worker: Worker) -> ClientResponse:
        """The worker's answer; it stays outstanding until its end was passed on."""
        worker.outstanding += 1
        try:
            return await self._session.request(
                outgoing.method,
                URL(worker.url + outgoing.target, encoded=True),
                headers=outgoing.headers,
                data=outgoing.body,
                allow_redirects=False,
            )
        except BaseException:
            worker.outstanding -= 1
            raise

    async def _body_of(self, request: web.Request) -> bytes | None:
        """The whole body, so that it can be sent again."""
        if not request.body_exists:
            return None
        if (request.content_length or 0) > self._body_max:
            raise problem.too_large(self._body_max)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await request.read()
        except TimeoutError as error:
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


async def relay(request: web.Request, answer: ClientResponse) -> web.StreamResponse:
    """Pass the answer on as it comes. An answer that breaks off breaks off at the client too."""
    headers = to_client(answer.headers)
    try:
        if answer.content.is_eof():
            # All of it came at once: so it goes, in one write.
            return web.Response(
                status=answer.status,
                reason=answer.reason,
                headers=headers,
                body=await answer.read(),
            )
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await response.prepare(request)
        while chunk := await _next_chunk(answer):
            await response.write(chunk)
        await response.write_eof()
        return response
    except _AnswerBrokeError as error:
        trace = trace_of(request).id
        logger.warning("answer broke off", path=request.path, trace=trace, error=str(error))
        if request.transport is not None:
            # A connection that is closed in order could end a complete answer.
            request.transport.abort()
        return response
    finally:
        # A connection whose answer has not ended is of no more use; else this does nothing.
        answer.close()


class _AnswerBrokeError(Exception):
    """The worker's answer did not come to its end."""


async def _next_chunk(answer: ClientResponse) -> bytes:
    try:
        return await answer.content.readany()
    except (ClientError, OSError) as error:
        raise _AnswerBrokeError(str(error) or type(error).__name__) from error
