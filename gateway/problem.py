"""Errors as RFC 9457 problem details.

Like `app/web/problems.py`, which can't be had without the worker's stores.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from gateway.tracing import trace_of

CONTENT_TYPE = "application/problem+json"
# A type that says no more than the status does (RFC 9457, 4.2.1).
BLANK = "about:blank"

DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path; the API is under /api.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take that method; see the Allow header.",
    HTTPStatus.EXPECTATION_FAILED: "Of expectations only 100-continue can be met.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request's body is too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Something went wrong here. Give the traceId when you report it."
    ),
}
KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


class ProblemError(Exception):
    """An answer that is an error.

    Args:
        status: the HTTP status.
        detail: what is wrong with this request, for the client's developer.
        headers: headers that belong to the answer.
        close: whether the connection ends with it, because the request was not read to its end.
        members: extension members.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)
        self.detail = detail
        self.headers = dict(headers or {})
        self.close = close
        self.members = members

    def response(self, request: web.BaseRequest) -> web.Response:
        """The answer to `request`."""
        body = {
            "type": BLANK,
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "instance": request.path,
            "traceId": trace_of(request).id,
            **self.members,
        }
        response = web.Response(
            body=orjson.dumps(body),
            status=self.status.value,
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )
        if self.close:
            response.force_close()
        return response


def of_status(status: int, headers: Mapping[str, str]) -> ProblemError:
    """The problem that an error status of the server itself stands for."""
    known = HTTPStatus(status)
    detail = DETAILS.get(known) or f"{known.description or known.phrase}."
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    return ProblemError(known, detail, headers=kept)


def too_large(limit: int) -> ProblemError:
    """413: the body is above `limit` bytes."""
    detail = f"The request's body is larger than {limit} bytes."
    return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, close=True)


def too_slow(seconds: float) -> ProblemError:
    """408: the body did not come in time."""
    detail = f"The request's body did not arrive within {seconds:g} s."
    return ProblemError(HTTPStatus.REQUEST_TIMEOUT, detail, close=True)


def unreadable(detail: str) -> ProblemError:
    """400: what came is not HTTP."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail, close=True)


def broken_off() -> ProblemError:
    """502: a worker took the request and went away."""
    detail = (
        "The worker's connection broke before it answered. What was asked may have been done; "
        "a request with an Idempotency-Key can be sent again safely."
    )
    return ProblemError(HTTPStatus.BAD_GATEWAY, detail)


def misunderstood() -> ProblemError:
    """502: a worker answered, but not in HTTP."""
    return ProblemError(HTTPStatus.BAD_GATEWAY, "The worker's answer could not be read.")


def no_worker(retry_after: int) -> ProblemError:
    """503: nothing was sent to anybody; come back in `retry_after` seconds."""
    detail = "No worker can be reached now; the request was not sent. Try again."
    headers = {"Retry-After": str(retry_after)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def timed_out(seconds: float) -> ProblemError:
    """504: no answer came in time."""
    detail = f"No worker answered within {seconds:g} s. What was asked may still be done."
    return ProblemError(HTTPStatus.GATEWAY_TIMEOUT, detail)


def busy(retry_after: int) -> ProblemError:
    """503: every worker that could be asked has as many requests as it may."""
    detail = "All workers are busy; the request was not sent. Try again."
    headers = {"Retry-After": str(retry_after)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def failing(retry_after: int) -> ProblemError:
    """503: every worker that can be reached has failed of late, and is left alone for a while."""
    detail = "The workers failed and are given a pause; the request was not sent. Try again."
    headers = {"Retry-After": str(retry_after)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def not_again(retry_after: int) -> ProblemError:
    """503: it broke off and could be sent again, but too much is being sent again already."""
    detail = (
        "The worker's connection broke before it answered, and so many requests are being sent "
        "again that this one was not. It can be sent again safely."
    )
    headers = {"Retry-After": str(retry_after)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def unsure(retry_after: str) -> ProblemError:
    """503: it broke off, and its key keeps it from being done again for now."""
    detail = (
        "The worker's connection broke before it answered, and what was asked may have been done. "
        "Send it again with the same Idempotency-Key."
    )
    headers = {"Retry-After": retry_after}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def ran_out(*, close: bool = False) -> ProblemError:
    """504: its own time limit was over before it was sent."""
    detail = "The request's time was up before it was sent; nothing was done."
    return ProblemError(HTTPStatus.GATEWAY_TIMEOUT, detail, close=close)


def bad_timeout() -> ProblemError:
    """400: `X-Request-Timeout` is none."""
    detail = "X-Request-Timeout must be a number of seconds, such as 2 or 0.5, given once."
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)
