"""The gateway's own answers, and its own calls to workers on behalf of a client."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from http import HTTPStatus
from typing import Protocol

import orjson
from aiohttp import hdrs, web
from multidict import istr
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from gateway import problem
from gateway.budget import REQUEST_TIMEOUT, asked_seconds
from gateway.headers import Headers, to_worker
from gateway.keys import NAME
from gateway.proxy import BODY_SECONDS, PREFIX, Answer
from gateway.sending import IDEMPOTENCY_KEY
from gateway.tracing import trace_of

PREFER = istr("Prefer")
# They speak of the client's own request and its answer, not of a call that the gateway makes.
OF_THE_REQUEST = (
    hdrs.ACCEPT,
    hdrs.ACCEPT_ENCODING,
    hdrs.CONTENT_ENCODING,
    hdrs.CONTENT_TYPE,
    hdrs.IF_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_RANGE,
    hdrs.IF_UNMODIFIED_SINCE,
    hdrs.RANGE,
    istr(IDEMPOTENCY_KEY),
    PREFER,
    REQUEST_TIMEOUT,
)
# What a worker's own words need to be understood.
OF_THE_ANSWER = (
    hdrs.ALLOW,
    hdrs.CONTENT_TYPE,
    hdrs.LOCATION,
    hdrs.RETRY_AFTER,
    hdrs.WWW_AUTHENTICATE,
    istr("Accept-Encoding"),
    istr("Accept-Post"),
    istr("Idempotency-Replayed"),
    istr("X-Worker-Id"),
)


class Call(Protocol):
    """See `Proxy.call`."""

    def __call__(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        seconds: float,
    ) -> Awaitable[Answer]:
        """A worker's answer."""
        ...


class AnswerModel(BaseModel):
    """Base of the gateway's own answers: camelCase, as everywhere in the API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


def respond(
    model: AnswerModel, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The model as JSON."""
    return web.Response(
        body=orjson.dumps(model.model_dump(mode="json", by_alias=True)),
        status=int(status),
        headers=headers,
        content_type="application/json",
    )


def calling(request: web.Request, *, keep: Iterable[str] = ()) -> Headers:
    """The headers of a call on behalf of `request`: who asks, and the trace.

    Args:
        keep: which of those that speak of the request itself the call has, too.
    """
    headers = to_worker(request, trace_of(request), prefix=PREFIX, gateway=request.app[NAME])
    kept = {istr(name) for name in keep}
    for name in OF_THE_REQUEST:
        if name not in kept:
            headers.popall(name, None)
    return headers


def time_limit(request: web.Request, most: float) -> float:
    """Seconds that the client gives this request by `X-Request-Timeout`, at most `most`.

    Raises:
        ProblemError: 400 where it is not a number of seconds.
    """
    return asked_seconds(request.headers.getall(REQUEST_TIMEOUT, ()), most)


def in_its_words(answer: Answer) -> web.Response:
    """A worker's answer, passed on."""
    kept = {name: answer.headers[name] for name in OF_THE_ANSWER if name in answer.headers}
    return web.Response(body=answer.body, status=answer.status, headers=kept)


async def body_of(request: web.Request, most: int) -> bytes:
    """The request's whole body.

    Raises:
        ProblemError: 413 it is larger than `most`, 408 it does not arrive.
    """
    if (request.content_length or 0) > most:
        raise problem.too_large(most)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise problem.too_slow(BODY_SECONDS) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise problem.too_large(most) from error
