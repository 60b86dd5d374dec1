"""Bulkheads: so many requests at once a target and kind, and none of them starves another kind.

A request that is held on purpose (`Prefer: wait`, server-sent events) lasts a thousand times longer
than an ordinary one. Had both one limit, a few hundred clients that wait would keep everybody else
out; so each kind has a compartment of its own, and connections of its own.
"""

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from aiohttp import hdrs
from multidict import istr

from gateway.headers import Headers

PREFER = istr("Prefer")
# RFC 7240, 4.3, and what only looks like it; the worker bounds how long.
WAITS = re.compile(r"wait\s*=", re.IGNORECASE)
EVENT_STREAM = "text/event-stream"
# How the paths of streams end, for clients that don't say what they accept.
STREAM = "/stream"


class Kind(Enum):
    """What a request needs of a target."""

    ORDINARY = "ordinary"
    HELD = "held"


def kind_of(target: str, headers: Headers) -> Kind:
    """The compartment that a request belongs to."""
    if hdrs.ACCEPT in headers and EVENT_STREAM in headers[hdrs.ACCEPT]:
        return Kind.HELD
    if PREFER in headers and any(WAITS.search(value) for value in headers.getall(PREFER)):
        return Kind.HELD
    path = target.partition("?")[0]
    return Kind.HELD if unquote(path).endswith(STREAM) else Kind.ORDINARY


@dataclass(slots=True)
class Compartment:
    """Places for one kind of request at one target.

    Attributes:
        limit: so many at once.
        taken: so many now.
    """

    limit: int
    taken: int = 0

    @property
    def full(self) -> bool:
        """Whether there is no place."""
        return self.taken >= self.limit

    def enter(self) -> None:
        """Take a place."""
        assert not self.full, "a full compartment takes nobody"
        self.taken += 1

    def leave(self) -> None:
        """Give a place back."""
        assert self.taken > 0, "a place is given back once"
        self.taken -= 1
