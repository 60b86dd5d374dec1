"""Which trace a request belongs to: `X-Trace-Id` for people, W3C trace context for machines."""

import re
import secrets
from dataclasses import dataclass

from aiohttp import hdrs, web

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
TRACE_ID_OF = slice(3, 35)
# In a path, or in the address of what was made.
ORDER = re.compile(r"/orders/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![^/?])")
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

    @property
    def trace_id(self) -> str:
        """The id that all who take part in the trace know it by."""
        return self.traceparent[TRACE_ID_OF]


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


def order_of(request: web.BaseRequest, response: web.StreamResponse | None) -> str | None:
    """The order that the request is about, or has made."""
    made = response.headers.get(hdrs.LOCATION) if response is not None else None
    found = ORDER.search(made or request.path)
    return found[1] if found else None


def told_of(request: web.BaseRequest, response: web.StreamResponse | None = None) -> dict[str, str]:
    """What a line of the log says of a request: its trace, the client's own id of it where that is
    another, and its order if it is about one."""
    trace = trace_of(request)
    told = {"trace_id": trace.trace_id}
    if trace.id != trace.trace_id:
        told["client_trace_id"] = trace.id
    if (order_id := order_of(request, response)) is not None:
        told["order_id"] = order_id
    return told
