"""W3C Trace Context: where in a trace a piece of work is, and where what it leads to will be."""

import re
import secrets
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

HEADER = "traceparent"
# Version, trace id, span id, flags; a version after 00 may append to them (3.2).
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]([0-9a-f])(?:-.*)?"
)
TRACE_ID = re.compile(r"(?:[0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-")
SPAN_BYTES, TRACE_BYTES = 8, 16
SAMPLED = 1
RATIO_BITS = 64
PARENT_BASED = "parentbased_"


class Place(NamedTuple):
    """A span's place in its trace.

    Attributes:
        sampled: whether whoever began the trace wants its spans kept.
    """

    trace: int
    span: int
    sampled: bool

    @property
    def traceparent(self) -> str:
        """As a header."""
        return f"00-{self.trace:032x}-{self.span:016x}-{self.sampled:02x}"

    def child(self, name: bytes) -> "Place":
        """The place of what follows from it under this name: the same each time it is asked for.

        Work that is done again after a crash so has the span ids of the first time, and spans that
        were lost with a killed process are found in their places after all.
        """
        own = self.trace.to_bytes(TRACE_BYTES) + self.span.to_bytes(SPAN_BYTES) + name
        span = int.from_bytes(blake2b(own, digest_size=SPAN_BYTES).digest())
        # No span has the id 0.
        return self._replace(span=span or 1)

    def another(self) -> "Place":
        """A new place below it."""
        return self._replace(span=new_span_id())


def new_span_id() -> int:
    """A span id that no other span has."""
    return secrets.randbits(SPAN_BYTES * 8) or 1


def new_trace_id() -> int:
    """A trace id that no other trace has."""
    return secrets.randbits(TRACE_BYTES * 8) or 1


def parse(header: str | None) -> Place | None:
    """The place that a `traceparent` names."""
    found = TRACEPARENT.fullmatch(header) if header else None
    if found is None:
        return None
    trace, span, flags = found.groups()
    return Place(int(trace, 16), int(span, 16), bool(int(flags, 16) & SAMPLED))


def of_headers(headers: Sequence[tuple[str, bytes]]) -> Place | None:
    """The place that a record's headers name; it is the last of them, as a rule."""
    for name, content in reversed(headers):
        if name == HEADER:
            return parse(content.decode("ascii", "replace")) if content else None
    return None


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id in a `traceparent`, for people."""
    found = TRACE_ID.match(traceparent) if traceparent else None
    return found[1] if found else None


Sampler = Callable[[Place | None, int], bool]
"""Whether a span is kept: its parent's place, and its trace's id."""


def sampler(name: str, ratio: float) -> Sampler:
    """A sampler by its name in `OTEL_TRACES_SAMPLER`.

    Those that are `parentbased_` do as the parent does, and decide about traces that begin here.
    """
    # As OpenTelemetry's own does, so that all processes come to the same answer about a trace.
    bound = round(ratio * (1 << RATIO_BITS))

    def by_ratio(_: Place | None, trace: int) -> bool:
        return trace & ((1 << RATIO_BITS) - 1) < bound

    root: Sampler = {
        "always_on": lambda parent, trace: True,
        "always_off": lambda parent, trace: False,
        "traceidratio": by_ratio,
    }[name.removeprefix(PARENT_BASED)]
    if not name.startswith(PARENT_BASED):
        return root

    def as_the_parent(parent: Place | None, trace: int) -> bool:
        return root(parent, trace) if parent is None else parent.sampled

    return as_the_parent
