"""Errors as RFC 9457 problem details."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from app.web.answers import encoded
from app.web.tracing import trace_of

CONTENT_TYPE = "application/problem+json"
# A type that says no more than the status does (RFC 9457, 4.2.1).
BLANK = "about:blank"
PREFIX = "urn:orderflow:problem:"

DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take that method; see the Allow header.",
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
        kind: the last part of the problem's type; none where the status says it all.
        title: the same for all problems of the kind; the status's phrase where none is given.
        members: extension members.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})
        self.members = members

    def response(self, request: web.BaseRequest) -> web.Response:
        """The answer to `request`."""
        body = {
            "type": PREFIX + self.kind if self.kind else BLANK,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": request.path,
            "traceId": trace_of(request).id,
            **self.members,
        }
        return web.Response(
            body=encoded(body),
            status=self.status,
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def invalid(errors: Sequence[Mapping[str, str]], *, kind: str = "invalid-fields") -> ProblemError:
    """422 that names each field."""
    named = ", ".join(error["field"] for error in errors)
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"The request is not valid: {named}.",
        kind=kind,
        title="Invalid fields",
        errors=list(errors),
    )


def unavailable(detail: str, *, retry_after: float = 1.0, **members: Any) -> ProblemError:
    """503 that says when to come back."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        detail,
        headers={"Retry-After": str(max(1, math.ceil(retry_after)))},
        **members,
    )


def of_status(status: int, headers: Mapping[str, str]) -> ProblemError:
    """The problem that an error status of the server itself stands for."""
    try:
        known = HTTPStatus(status)
    except ValueError:
        known = HTTPStatus.BAD_REQUEST if status < 500 else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = DETAILS.get(known) or f"{known.description or known.phrase}."
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    return ProblemError(known.value, detail, headers=kept)
