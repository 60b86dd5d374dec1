"""A client's connection, to a worker or to the gateway: what no client may do to it.

What one client sends must not hold up the others: heads are bounded, and a client that does not
read its answers is let go.
"""

import asyncio
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

# Idle connections, and those whose request's head does not come, are closed after this. Longer
# than nginx keeps its own (60 s), so that it never sends a request on one that is being closed.
KEEPALIVE_SECONDS = 75.0
# 8 KiB for the request line and each header, as most servers have it.
LINE_MAX_BYTES = 8190
# All headers together: nginx's 32 KiB, and what nginx and the gateway add. Each is bounded as well,
# but a hundred of them are 800 kB, which take a second of the event loop to make sense of.
HEAD_MAX_BYTES = 36_864
# Bodies of all requests under way: a thousand large orders. A body is held in memory until its
# request is answered, and 20,000 connections may be open.
BODIES_MAX_BYTES = 256 * 1_048_576
# Smaller ones are not counted: an order has 200 bytes, and what a connection has read is in memory
# either way.
BODY_SMALL_BYTES = 65_536
# By then requests of the usual kind have ended.
RETRY_AFTER_SECONDS = 1
# A client that takes nothing of what it asked for is let go: nginx's `send_timeout`.
SEND_SECONDS = 30.0
VERSIONS = (HttpVersion10, HttpVersion11)
# aiohttp's own says which versions of it and of Python run here.
SERVER = "orderflow"


class Refusal(NamedTuple):
    """Why a request is not looked at, in words for the client's developer."""

    status: HTTPStatus
    detail: str
    headers: Mapping[str, str] = {}


UNREADABLE = Refusal(HTTPStatus.BAD_REQUEST, "The request is not valid HTTP.")
LINE_TOO_LONG = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The request line and each header may have {LINE_MAX_BYTES} bytes.",
)
HEAD_TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The request's headers may have {HEAD_MAX_BYTES} bytes together.",
)
UNKNOWN_VERSION = Refusal(
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here."
)
NO_ROOM = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Too many large bodies are being worked on; the request was not looked at. Try again.",
    {hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS)},
)


class Bodies:
    """Room for the bodies of a process's requests.

    Args:
        most: bytes of all that are not small.
    """

    def __init__(self, most: int = BODIES_MAX_BYTES) -> None:
        self._left = most

    def take(self, request: web.BaseRequest) -> int | None:
        """Bytes that the request's body takes, to be given back; None where there is no room."""
        if not request.body_exists:
            return 0
        length = request.content_length
        most = request.client_max_size
        size = most if length is None else min(length, most)
        if size <= BODY_SMALL_BYTES:
            return 0
        if size > self._left:
            return None
        self._left -= size
        return size

    def give_back(self, size: int) -> None:
        """The request has ended."""
        self._left += size


def refusal_of(version: HttpVersion, headers: Iterable[tuple[bytes, bytes]]) -> Refusal | None:
    """Why a request with this head is refused; None where it is not."""
    if version not in VERSIONS:
        return UNKNOWN_VERSION
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    return HEAD_TOO_LARGE if size > HEAD_MAX_BYTES else None


def unreadable(error: BaseException | None) -> Refusal:
    """Why what came could not be parsed."""
    return LINE_TOO_LONG if isinstance(error, LineTooLong) else UNREADABLE


class ClientConnection(RequestHandler):
    """aiohttp's connection, with a limit to how long a client may leave its answer unread.

    aiohttp waits for ever: such clients would fill the memory, and at the gateway hold the places
    that others need.
    """

    __slots__ = ("_late",)

    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._late: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The client does not keep up with its answer."""
        super().pause_writing()
        if self.transport is not None:
            self._watch(self.transport)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._watch_no_more()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._watch_no_more()
        super().connection_lost(exc)

    def _watch(self, transport: asyncio.Transport) -> None:
        # Not `self.transport`: that is forgotten when it is closed, which waits for the client too.
        unsent = transport.get_write_buffer_size()
        self._late = self._loop.call_later(SEND_SECONDS, self._look, transport, unsent)

    def _look(self, transport: asyncio.Transport, unsent: int) -> None:
        if transport.get_write_buffer_size() < unsent:
            self._watch(transport)
        else:
            transport.abort()

    def _watch_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
