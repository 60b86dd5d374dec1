"""A dead letter: what its record says, and the record to send again.

A letter's record is the original one with headers of ours after its own, see
`app.streaming.dead_letters`. So the original is all that comes before the last `dlq-reason`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from app.operating.messages import text
from app.streaming.dead_letters import HEADER_PREFIX, SUFFIX
from app.streaming.fetching import UNREADABLE
from app.streaming.publisher import OutRecord

Headers = Sequence[tuple[str, bytes | None]]

ID = re.compile(r"(.{1,249})-([0-9]{1,9})-([0-9]{1,18})")
REASON = HEADER_PREFIX + "reason"
UNKNOWN = "unknown"
IDENTITY_BYTES = 16


class UnreplayableError(Exception):
    """The letter can't be sent again; says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies."""

    topic: str
    partition: int
    offset: int

    @property
    def id(self) -> str:
        """The place as a text."""
        return f"{self.topic}-{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        place: in its dead-letter topic.
        timestamp: when it got there, ms since the epoch.
        key, value, headers: those of the original.
        reason: a short code; `detail` says it in words.
        group: the consumer group that gave the record up.
        original: where the record was; None where the letter does not say.
        without_content: key, value and headers were left out, because with the reason they would
            have been too large.
        empty: the original had neither key nor value.
    """

    place: Place
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    detail: str
    group: str
    original: Place | None
    without_content: bool = False
    empty: bool = False

    @property
    def id(self) -> str:
        """Names it among all letters."""
        return self.place.id

    @property
    def topic(self) -> str:
        """The topic that it is a letter of."""
        return self.place.topic.removesuffix(SUFFIX)

    @property
    def identity(self) -> str:
        """The same for letters of the same content by the same group: when a letter was replayed in
        vain, that of the next one."""
        digest = blake2b(digest_size=IDENTITY_BYTES)
        headers = [part for name, value in self.headers for part in (name.encode(), value)]
        parts = [self.group.encode(), self.topic.encode(), self.key, self.value, *headers]
        if self.without_content and self.original is not None:
            parts.append(str(self.original.offset).encode())
        for part in parts:
            digest.update(b"-" if part is None else b"%d:" % len(part) + part)
        return digest.hexdigest()

    def again(self) -> OutRecord:
        """The original record, to be sent to where it was: what it is about is still the same.

        Raises:
            UnreplayableError: the letter does not hold it.
        """
        original = self.original
        if original is None or original.topic != self.topic:
            raise UnreplayableError("The letter does not say where in its topic it comes from.")
        if UNREADABLE in self.headers:
            raise UnreplayableError(
                "The original can't be read by the Kafka client, for the name of one of its "
                "headers is not UTF-8; it would come back."
            )
        if self.without_content:
            raise UnreplayableError("The letter is without its content.")
        if self.empty:
            raise UnreplayableError("The original has neither a key nor a value; none can be sent.")
        return OutRecord(
            original.topic,
            self.key,
            self.value,
            list(self.headers),  # type: ignore[arg-type]  # a header may have no value
            original.partition,
        )


def letter_of(record: Any) -> Letter:
    """The letter in a record of a dead-letter topic, whoever has put it there."""
    headers: Headers = tuple(record.headers)
    names = [name for name, _ in headers]
    # Ours come last; the original may be a letter itself that was sent by hand.
    own = len(names) - 1 - names[::-1].index(REASON) if REASON in names else len(names)
    about = {
        name.removeprefix(HEADER_PREFIX): text(value or b"")
        for name, value in headers[own:]
        if name.startswith(HEADER_PREFIX)
    }
    return Letter(
        place=Place(record.topic, record.partition, record.offset),
        timestamp=record.timestamp,
        key=record.key,
        value=record.value,
        headers=headers[:own],
        reason=about.get("reason", UNKNOWN),
        detail=about.get("detail", "The record does not say why it is here."),
        group=about.get("group", ""),
        original=_place(about.get("topic"), about.get("partition"), about.get("offset")),
        without_content="truncated" in about,
        empty="null-value" in about,
    )


def _place(topic: str | None, partition: str | None, offset: str | None) -> Place | None:
    found = ID.fullmatch(f"{topic}-{partition}-{offset}")
    return Place(found[1], int(found[2]), int(found[3])) if found and topic else None


def place_of(letter_id: str) -> Place | None:
    """Where the letter of this id lies; None where it is no letter's id."""
    found = ID.fullmatch(letter_id)
    place = Place(found[1], int(found[2]), int(found[3])) if found else None
    # `-01-7` is not how it was given out.
    return place if place and place.id == letter_id else None
