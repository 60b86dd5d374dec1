"""Which trace a request belongs to: `X-Trace-Id` for people, W3C trace context for machines."""

import re
import secrets
from dataclasses import dataclass

from aiohttp import web

TRACE_ID_HEADER = "X-Trace-Id"
TRACEPARENT_HEADER = "traceparent"

# Goes into logs and back into a header, so nothing that could break either.
SANE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
HEX_ID = re.compile(r"[0-9a-f]{32}")
# W3C Trace Context, 3.2: later versions may append to what version 00 has.
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
FIRST_VERSION = "00"
SAMPLED = "01"


@dataclass(frozen=True, slots=True)
class Trace:
    """A request's trace.

    Attributes:
        id: what the client sees as `X-Trace-Id`.
        traceparent: what the events that the request leads to carry.
    """

    id: str
    traceparent: str


STORED = web.RequestKey("trace", Trace)


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
        return Trace(given or parsed[0], parsed[1])
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
