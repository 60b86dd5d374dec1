"""What of a message's headers goes on to the next hop, and what each hop adds."""

from collections.abc import Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping, istr

from app.identity import passing
from gateway.tracing import TRACE_ID, TRACEPARENT, TRACESTATE, Trace

# RFC 9110, 7.6.1, and what older proxies and the Proxy-* fields of 11.7 add: they mean one
# connection only.
HOP_BY_HOP = tuple(
    istr(name)
    for name in (
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    )
)
# Each hop says these for itself: the body is sent again whole, and 100-continue was answered here.
SAID_ANEW = (hdrs.HOST, hdrs.CONTENT_LENGTH, hdrs.EXPECT)

# Only the gateway says them, of whom it has verified.
IDENTITY = tuple(istr(name) for name in passing.HEADERS)
PASSED = web.RequestKey("PASSED", dict[str, str])

FORWARDED_FOR = istr("X-Forwarded-For")
FORWARDED_PROTO = istr("X-Forwarded-Proto")
FORWARDED_HOST = istr("X-Forwarded-Host")
FORWARDED_PREFIX = istr("X-Forwarded-Prefix")
INSTANCE_ID = istr("X-Instance-Id")
WORKER_ID = istr("X-Worker-Id")
# RFC 7239, 6.3: a peer without an address, such as a Unix socket.
NOBODY = "unknown"

Headers = CIMultiDict[str]


def end_to_end(headers: MultiMapping[str]) -> Headers:
    """The headers without those that are meant for one connection only."""
    kept = CIMultiDict(headers)
    named = kept.getall(hdrs.CONNECTION, None)
    _drop(kept, HOP_BY_HOP)
    if named is not None:
        _drop(kept, (name.strip() for value in named for name in value.split(",")))
    return kept


def to_worker(request: web.Request, trace: Trace, *, prefix: str, gateway: str) -> Headers:
    """The headers of the request that the worker gets.

    A proxy in front of the gateway has said already which protocol and host the client used.
    """
    headers = end_to_end(request.headers)
    _drop(headers, SAID_ANEW)
    _drop(headers, IDENTITY)
    headers.update(request.get(PASSED, {}))
    addresses = [*headers.popall(FORWARDED_FOR, ()), request.remote or NOBODY]
    headers[FORWARDED_FOR] = ", ".join(addresses)
    headers.setdefault(FORWARDED_PROTO, request.scheme)
    headers.setdefault(FORWARDED_HOST, request.host)
    headers[FORWARDED_PREFIX] = prefix
    headers.add(hdrs.VIA, f"{request.version.major}.{request.version.minor} {gateway}")
    headers[TRACE_ID] = trace.id
    headers[TRACEPARENT] = trace.traceparent
    if not trace.continued:
        headers.popall(TRACESTATE, None)
    return headers


def to_client(headers: CIMultiDictProxy[str]) -> Headers:
    """The headers of the worker's answer as the client gets them: who gave it becomes
    `X-Worker-Id`, since `X-Instance-Id` names who answers the client.
    """
    kept = end_to_end(headers)
    worker = kept.pop(INSTANCE_ID, None)
    if worker is not None:
        kept[WORKER_ID] = worker
    return kept


def _drop(headers: Headers, names: Iterable[str]) -> None:
    for name in names:
        headers.popall(name, None)
