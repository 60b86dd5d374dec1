"""Parameters, headers and answers that many operations have."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.openapi.operation import Parameter
from app.web.parameters import VISIBLE_ASCII

TEXT: Mapping[str, Any] = {"type": "string"}
WHOLE: Mapping[str, Any] = {"type": "integer", "minimum": 0}

HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Trace-Id": {
        "description": "Names the request in every log: the request's own `X-Trace-Id` or the "
        "trace of its `traceparent`, else made up.",
        "schema": TEXT,
        "required": True,
    },
    "X-Instance-Id": {
        "description": "Which process answered.",
        "schema": TEXT,
        "required": True,
    },
    "Location": {
        "description": "Where to look for what came of it.",
        "schema": {"type": "string", "format": "uri-reference"},
        "required": True,
    },
    "Retry-After": {
        "description": "After so many seconds it may be tried again.",
        "schema": WHOLE,
        "required": True,
    },
    "Idempotency-Replayed": {
        "description": "The answer was given before, to the same key.",
        "schema": {"const": "true"},
    },
    "Preference-Applied": {
        "description": "What was done of what the request prefers (RFC 7240).",
        "schema": {"type": "string", "pattern": "^wait="},
    },
    "Cache-Control": {"schema": TEXT},
    "ETag": {"description": "Of this answer, for `If-None-Match`.", "schema": TEXT},
    "WWW-Authenticate": {
        "description": "How to say who asks (RFC 6750).",
        "schema": TEXT,
        "required": True,
    },
    "Accept-Post": {"description": "What may be posted.", "schema": TEXT},
    "Accept": {"description": "What may be sent.", "schema": TEXT},
    "Allow": {"description": "The methods of the path.", "schema": TEXT, "required": True},
    "RateLimit-Limit": {"description": "Requests that are allowed in the window.", "schema": WHOLE},
    "RateLimit-Remaining": {"description": "How many of them are left.", "schema": WHOLE},
    "RateLimit-Reset": {"description": "Seconds until there are more.", "schema": WHOLE},
    "RateLimit-Policy": {
        "description": "Of each window that holds here, its requests and seconds: `1000;w=10`.",
        "schema": TEXT,
    },
    "X-Worker-Id": {"description": "Which worker answered the gateway.", "schema": TEXT},
    "X-Cache": {
        "description": "Whether the answer was kept.",
        "schema": {"enum": ["hit", "stale", "miss", "bypass"]},
    },
    "Age": {"description": "Seconds since it was asked for.", "schema": WHOLE},
}
ALWAYS = ("X-Trace-Id", "X-Instance-Id")

LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")

# What each status means, wherever nothing else is said.
PROBLEMS: Mapping[int, str] = {
    400: "What came can't be read: it is no JSON, or a cursor or a key that is none.",
    402: "The payment was refused.",
    401: "It does not say who asks, or not validly.",
    403: "Whoever asks may not.",
    404: "There is no such thing.",
    405: "The path does not take that method.",
    408: "The body did not arrive in time.",
    409: "It does not go with what is so by now.",
    413: "The body is too large.",
    415: "The body is not said to be JSON in UTF-8.",
    422: "It can be read and is not valid; `errors` names each field.",
    429: "Too many requests.",
    502: "The worker's connection broke off. What was asked may have been done; a request with an "
    "`Idempotency-Key` can be sent again safely.",
    503: "A server that this needs can't be reached now; try again.",
    504: "No answer came in time. What was asked may still be done.",
}
PROBLEM_HEADERS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    415: (),
    429: ("Retry-After", *LIMITS),
    503: ("Retry-After",),
}
# What any operation that reads a body may say.
OF_A_BODY = (400, 408, 413, 415, 422)

PREFER = Parameter.header(
    "Prefer",
    Annotated[str, Field()],
    "`wait=5` holds the answer until the order has ended, for 5 s at most (RFC 7240).",
    "wait=5",
)
IDEMPOTENCY_KEY = Parameter.header(
    "Idempotency-Key",
    Annotated[str, Field(pattern=f"^{VISIBLE_ASCII.pattern}$")],
    "Made up by the client: sent again with the same key and body, it is done once and answered "
    "the same.",
    "8e03978e-40d5-43e8-bc93-6894a57f9324",
)
ALLOW = Parameter.query(
    "allow",
    Literal["partial"],
    "Take an answer without the partitions that can't be read now.",
)


def limit(default: int, most: int) -> Parameter:
    """The parameter `limit` of a list."""
    return Parameter.query(
        "limit",
        Annotated[int, Field(ge=1, le=most, json_schema_extra={"default": default})],
        "How many at most.",
        empty=False,
    )


def cursor() -> Parameter:
    """The parameter `cursor` of a list."""
    return Parameter.query(
        "cursor",
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,1024}$")],
        "The `nextCursor` of the page before.",
    )
