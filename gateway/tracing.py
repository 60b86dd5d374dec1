"""Which trace a request belongs to: `X-Trace-Id` for people, W3C trace context for machines."""

import re
import secrets
from dataclasses import dataclass

from aiohttp import web

TRACE_ID = "X-Trace-Id"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

# Goes into logs and back into a header, so nothing that could break either.
SANE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
HEX_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
# W3C Trace Context, 3.2: version 00 ends after the flags, a later one may append to them.
VALID = re.compile(
    r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<rest>-.*)?"
)
CURRENT_VERSION = "00-"
SAMPLED = "01"


@dataclass(frozen=True, slots=True)
class Trace:
    """A request's trace.

    Attributes:
        id: what the client sees as `X-Trace-Id`.
        traceparent: what the worker continues.
        continued: whether the client sent that traceparent, so that its tracestate belongs to it.
    """

    id: str
    traceparent: str
    continued: bool


TRACE = web.RequestKey("TRACE", Trace)


def new_trace(trace_id: str | None, traceparent: str | None) -> Trace:
    """The trace that the two headers name; what is missing or not sane is made up."""
    given = trace_id if trace_id and SANE_ID.fullmatch(trace_id) else None
    valid = VALID.fullmatch(traceparent) if traceparent else None
    if traceparent and valid and not (traceparent.startswith(CURRENT_VERSION) and valid["rest"]):
        return Trace(given or valid[1], traceparent, continued=True)
    made = given if given and HEX_ID.fullmatch(given) else secrets.token_hex(16)
    return Trace(
        given or made,
        f"{CURRENT_VERSION}{made}-{secrets.token_hex(8)}-{SAMPLED}",
        continued=False,
    )


def trace_of(request: web.BaseRequest) -> Trace:
    """The request's trace, the same each time it is asked for."""
    trace = request.get(TRACE)
    if trace is None:
        headers = request.headers
        trace = new_trace(headers.get(TRACE_ID), headers.get(TRACEPARENT))
        request[TRACE] = trace
    return trace
