"""Does a server answer? Each check speaks the server's own protocol over a plain socket."""

from __future__ import annotations

import json
import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

# A healthy server on this machine answers in milliseconds; a paused one never.
ANSWER_SECONDS = 2.0
# Between two looks: short against a start (1 to 10 s), long against the cost of a look.
POLL_SECONDS = 0.1
# The answers read here are far smaller; a stranger's answer must not fill the memory.
LARGEST_ANSWER = 1 << 20

HEALTHY = "healthy"

KAFKA_METADATA = 3
MONGO_OP_MSG = 2013


def answers(check: str) -> bool:
    """Ask the server that `check` names: http, redis, mongodb or kafka, as a URL."""
    scheme = check.partition("://")[0]
    if scheme == "http":
        return http_ok(check)
    if scheme == "redis":
        return redis_answers(*address_of(check, 6379))
    if scheme == "kafka":
        return kafka_answers(*address_of(check, 9092))
    if scheme == "mongodb":
        return mongo_answers(*address_of(check, 27017))
    # Found by name service, or with TLS: only the application's own client can ask it.
    return True


def http_ok(url: str) -> bool:
    """Say whether `url` answers 200."""
    try:
        # Only called for checks that start with http://.
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def condition(check: str) -> str:
    """Say how the server that `check` names is: `healthy`, `no answer`, or what it lacks."""
    if not check.startswith("http://"):
        return HEALTHY if answers(check) else "no answer"
    try:
        with urllib.request.urlopen(check, timeout=ANSWER_SECONDS):  # noqa: S310 (as in `http_ok`)
            return HEALTHY
    except urllib.error.HTTPError as error:
        with error:
            return f"not ready: {_lacks(error)}"
    except (OSError, ValueError):
        return "no answer"


def _lacks(error: urllib.error.HTTPError) -> str:
    """Read a worker's, a gateway's or nginx's own words out of an answer that says no."""
    try:
        body = json.loads(error.read(LARGEST_ANSWER))
    except (OSError, ValueError):
        body = None
    match body:
        case {"checks": dict(checks)}:
            return ", ".join(_failing(checks)) or f"HTTP {error.code}"
        case {"workers": {"live": live, "total": total}}:
            return f"{live} of {total} workers live"
        case {"title": str(title)}:
            return title
    return f"HTTP {error.code} {error.reason}".strip()


def _failing(checks: Mapping[Any, Any]) -> Iterator[str]:
    for name, well in checks.items():
        if isinstance(well, dict):
            yield from _failing(well)
        elif not well:
            yield str(name)


def redis_answers(host: str, port: int) -> bool:
    """Send PING; a server that wants a password, or still loads its data, is not taken as down."""
    try:
        with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            answer = connection.recv(64)
    except OSError:
        return False
    return answer.startswith((b"+PONG", b"-NOAUTH"))


def mongo_answers(host: str, port: int) -> bool:
    """Send the command `{ping: 1, $db: "admin"}` as an OP_MSG."""
    command = b"\x10ping\0\1\0\0\0" + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", len(command) + 5) + command + b"\0"
    body = struct.pack("<iB", 0, 0) + document
    header = struct.pack("<iiii", 16 + len(body), 1, 0, MONGO_OP_MSG)
    try:
        with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
            connection.sendall(header + body)
            length, _, _, kind = struct.unpack("<iiii", _read(connection, 16))
            # Read to the end: to close before it would be an error in the server's log.
            _read(connection, min(length, LARGEST_ANSWER) - 16)
    except OSError:
        return False
    return bool(kind == MONGO_OP_MSG)


def kafka_answers(host: str, port: int) -> bool:
    """Ask for the metadata of no topic; ready is a broker that knows of itself.

    A broker accepts connections before the controller has let it in. Topics made in between
    would fail, so an empty list of brokers counts as not ready.
    """
    client = b"health"
    no_topics = struct.pack(">i", 0)
    request = struct.pack(">hhih", KAFKA_METADATA, 1, 1, len(client)) + client + no_topics
    try:
        with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            (length,) = struct.unpack(">i", _read(connection, 4))
            if not 8 <= length <= LARGEST_ANSWER:
                return False
            answer = _read(connection, length)
    except OSError:
        return False
    _correlation, brokers = struct.unpack(">ii", answer[:8])
    return bool(brokers > 0)


def address_of(url: str, default_port: int) -> tuple[str, int]:
    """Take the first host and its port out of a URL."""
    parts = urlsplit(url.split(",", maxsplit=1)[0])
    return parts.hostname or "127.0.0.1", parts.port or default_port


def wait_until(check: Callable[[], bool], seconds: float) -> bool:
    """Look until `check` holds; false if it didn't within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if check():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_SECONDS)


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError("closed before the answer was complete")
        data += part
    return data
