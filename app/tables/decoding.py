"""Records of the order topic as their fold needs them, read quickly.

A worker decodes each order's events for the participants with the whole model (`app.codec`). The
fold needs a few fields of an event that a participant wrote and checked, so here they are taken
straight from the JSON, a chunk at a time; what does not fit is told by the codec.

So not all is refused that the codec refuses. A negative price or quantity, a total of more than its
model takes or of `true`, a missing header other than the type: those count, though every other
service has a dead letter of the record. Only who writes to the topic beside the services can bring
that about. What a fold can't add up is looked at whole, and is no event then
(`AnalyticsService.handle`).
"""

from binascii import unhexlify
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import orjson

from app import codec
from app.codec import UndecodableError
from app.events import OrderCancelled, OrderConfirmed, OrderPlaced
from app.topics import ORDER

MS = 1000
MINOR = 100
DAY_MS = 86_400 * MS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A UUID, and how it is written.
ID_BYTES, ID_TEXT = 16, 36
NOTHING: Mapping[str, Any] = {}
# What is raised where a record is not as the services write it.
NOT_AS_WRITTEN = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class Kind(IntEnum):
    """What a record says of its order."""

    OTHER = 0
    PLACED = 1
    CONFIRMED = 2
    CANCELLED = 3


KINDS = {
    OrderPlaced.__name__.encode(): Kind.PLACED,
    OrderConfirmed.__name__.encode(): Kind.CONFIRMED,
    OrderCancelled.__name__.encode(): Kind.CANCELLED,
}

Entry = tuple[Any, Kind, bytes, int, int, Mapping[str, Any]]
"""What the fold needs: the record itself, its kind, the order's id, when the order was placed (ms
since the epoch), its total in minor units, and the event's data. A bare tuple, for there is one a
record."""


def decode(record: Any) -> Entry:
    """The entry of a record of the order topic.

    Raises:
        UndecodableError: it is no event of its topic.
    """
    try:
        (entry,) = _entries([record], [orjson.loads(record.value)])
        return entry
    except UndecodableError:
        raise
    except NOT_AS_WRITTEN as error:
        codec.decode(ORDER, record.key, record.value, record.headers)
        raise UndecodableError(f"{type(error).__name__}: {error}") from error


def decode_all(records: Sequence[Any]) -> list[Entry]:
    """The entries of many records, parsed as one document: a third quicker.

    Raises:
        UndecodableError: one of them is no event of its topic.
    """
    try:
        # Values that are no JSON by themselves may be so together; then a key does not fit.
        parsed = orjson.loads(b"[" + b",".join([record.value for record in records]) + b"]")
        return _entries(records, parsed)
    except NOT_AS_WRITTEN as error:
        raise UndecodableError(f"{type(error).__name__}: {error}") from error


def _entries(records: Sequence[Any], parsed: Sequence[Any]) -> list[Entry]:
    """One long loop without a call of our own in it: this is where analytics spends its time."""
    instant, kinds = datetime.fromisoformat, KINDS
    entries: list[Entry] = []
    for record, ident, data in zip(records, _idents(records, parsed), parsed, strict=True):
        headers = record.headers
        # Where the services put it.
        name, content = headers[1] if len(headers) > 1 else ("", b"")
        kind = kinds.get(content if name == "ce_type" else _type(headers))
        if kind is None:
            codec.decode(ORDER, record.key, record.value, headers)
            entries.append((record, Kind.OTHER, b"", 0, 0, NOTHING))
            continue
        total = round(data["total"] * MINOR)
        if total < 0 or not data["userId"] or not data["items"]:
            raise ValueError("not as the services write it")
        since = instant(data["placedAt"]) - EPOCH  # a time without its zone raises here
        at = since.days * DAY_MS + since.seconds * MS + since.microseconds // MS
        entries.append((record, kind, ident, at, total, data))
    return entries


def _idents(records: Sequence[Any], parsed: Sequence[Any]) -> list[bytes]:
    """The orders' ids (16 bytes each), after a look whether keys and data say the same."""
    keys = b",".join([record.key for record in records])
    if ",".join([data["orderId"] for data in parsed]).encode() != keys:
        raise ValueError("a key is not the order's id")
    ends = keys[ID_TEXT :: ID_TEXT + 1]
    if len(keys) != len(records) * (ID_TEXT + 1) - 1 or ends != b"," * (len(records) - 1):
        raise ValueError("an order's id is no UUID")
    packed = unhexlify(keys.replace(b"-", b"").replace(b",", b""))
    if len(packed) != len(records) * ID_BYTES:
        raise ValueError("an order's id is no UUID")
    return [packed[place : place + ID_BYTES] for place in range(0, len(packed), ID_BYTES)]


def _type(headers: Sequence[tuple[str, bytes]]) -> bytes:
    return next((content for name, content in headers if name == "ce_type"), b"")
