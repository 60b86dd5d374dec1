"""Cursors: where a list goes on, as text that the client only hands back.

What they say is no secret and opens nothing. The digest is there so that a cursor that was cut,
mangled or taken from another list is refused instead of answered with the wrong page.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus

import orjson

from app.web.problems import ProblemError

PARAMETER = "cursor"
DIGEST_BYTES = 6
# The longest are those of dead letters, that hold an offset of each partition.
ALPHABET = re.compile(r"[A-Za-z0-9_-]{1,4096}")


def encode(listed: str, *position: str) -> str:
    """The cursor of a position in the list named `listed`."""
    content = orjson.dumps(position)
    return urlsafe_b64encode(_digest(listed, content) + content).rstrip(b"=").decode()


def cursor_of(query: Mapping[str, str], listed: str, parts: int) -> tuple[str, ...] | None:
    """The position in the query's cursor; None where it has none.

    Raises:
        ProblemError: 400 where it is not one that this list gave.
    """
    given = query.get(PARAMETER)
    if not given:
        return None
    position = _decoded(given, listed) if ALPHABET.fullmatch(given) else None
    if position is None or len(position) != parts:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"{PARAMETER} is not one that this list gave; begin without one.",
            kind="bad-cursor",
            title="Bad cursor",
        )
    return position


def _decoded(given: str, listed: str) -> tuple[str, ...] | None:
    try:
        raw = urlsafe_b64decode(given + "=" * (-len(given) % 4))
        digest, content = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if digest != _digest(listed, content):
            return None
        position = orjson.loads(content)
    except ValueError:
        return None
    if not isinstance(position, list) or not all(isinstance(part, str) for part in position):
        return None
    # Several texts decode to the same bytes; only one of them was given out.
    return tuple(position) if encode(listed, *position) == given else None


def _digest(listed: str, content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES, person=listed.encode()).digest()
