"""Which trace a request belongs to: `X-Trace-Id` for people, W3C trace context for machines."""

import re
import secrets
from dataclasses import dataclass

from aiohttp import web
from structlog.contextvars import bind_contextvars

TRACE_ID_HEADER = "X-Trace-Id"
TRACEPARENT_HEADER = "traceparent"

# Goes into logs and back into a header, so nothing that could break either.
SANE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
HEX_ID = re.compile(r"[0-9a-f]{32}")
# W3C Trace Context, 3.2: later versions may append to what version 00 has.
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
FIRST_VERSION = "00"
SAMPLED = "01"
TRACE_ID = slice(3, 35)


@dataclass(frozen=True, slots=True)
class Trace:
    """A request's trace.

    Attributes:
        id: what the client sees as `X-Trace-Id`.
        traceparent: what the events that the request leads to carry.
        continued: whether it came with the request, so that somebody has begun the trace.
    """

    id: str
    traceparent: str
    continued: bool = False

    @property
    def trace_id(self) -> str:
        """The id that all who take part in the trace know it by."""
        return self.traceparent[TRACE_ID]


STORED = web.RequestKey("trace", Trace)
ORDER = web.RequestKey("order", str)


def parse_traceparent(header: str | None) -> tuple[str, str] | None:
    """The trace id of a valid `traceparent`, and the header as version 00 writes it."""
    found = TRACEPARENT.fullmatch(header.strip()) if header else None
    if found is None:
        return None
    version, trace, span, flags, rest = found.groups()
    if not trace.strip("0") or not span.strip("0") or (version == FIRST_VERSION and rest):
        return None
    return trace, f"{FIRST_VERSION}-{trace}-{span}-{flags}"


def new_trace(trace_id: str | None, traceparent: str | None) -> Trace:
    """The trace that the two headers name; what is missing or not sane is made up."""
    given = trace_id if trace_id and SANE_ID.fullmatch(trace_id) else None
    parsed = parse_traceparent(traceparent)
    if parsed is not None:
        return Trace(given or parsed[0], parsed[1], continued=True)
    usable = given is not None and HEX_ID.fullmatch(given) and given.strip("0")
    trace = given if given and usable else secrets.token_hex(16)
    made = f"{FIRST_VERSION}-{trace}-{secrets.token_hex(8)}-{SAMPLED}"
    return Trace(given or trace, made)


def trace_of(request: web.BaseRequest) -> Trace:
    """The request's trace, the same each time it is asked for."""
    trace = request.get(STORED)
    if trace is None:
        headers = request.headers
        trace = new_trace(headers.get(TRACE_ID_HEADER), headers.get(TRACEPARENT_HEADER))
        request[STORED] = trace
    return trace


def about_order(request: web.BaseRequest, order_id: str) -> None:
    """Note which order the request is about, for those who tell of it, and for what is logged from
    now on; `app/web/middleware.py` ends that with the request."""
    request[ORDER] = order_id
    bind_contextvars(order_id=order_id)


def told_of(request: web.BaseRequest) -> dict[str, str]:
    """What a line of the log says of a request: its trace, the client's own id of it where that is
    another, and its order if it is about one."""
    trace = trace_of(request)
    told = {"trace_id": trace.trace_id}
    if trace.id != trace.trace_id:
        told["client_trace_id"] = trace.id
    order_id = request.get(ORDER)
    if order_id is not None:
        told["order_id"] = order_id
    return told
