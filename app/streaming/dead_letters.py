"""Dead letters: a record that can't be processed goes to `<topic>.dlq` with its reason and origin.

It keeps its key, value, headers and partition, so it can be sent back as it was.
"""

import logging
from dataclasses import dataclass
from typing import Any

from app.streaming.publisher import OutRecord

logger = logging.getLogger(__name__)

SUFFIX = ".dlq"
UNDECODABLE = "undecodable"  # it is no event of its topic
UNPROCESSABLE = "unprocessable"  # handling it fails, again and again
REASONS = (UNDECODABLE, UNPROCESSABLE)
# A reason is for people; a value quoted in it must not make the record too large to be sent.
DETAIL_MAX_CHARACTERS = 1000
HEADER_PREFIX = "dlq-"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record and why it can't be processed.

    Attributes:
        record: the record as it was consumed (`topic`, `partition`, `offset`, `key`, `value`,
            `headers`).
        reason: one of `REASONS`.
        detail: what is wrong, in a sentence.
        group: the consumer group that gave it up; others may have processed it.
    """

    record: Any
    reason: str
    detail: str
    group: str

    def out(self) -> OutRecord:
        """The record for the dead-letter topic."""
        origin = self.record
        about = {
            "reason": self.reason,
            "detail": self.detail[:DETAIL_MAX_CHARACTERS],
            "group": self.group,
            "topic": origin.topic,
            "partition": str(origin.partition),
            "offset": str(origin.offset),
            "timestamp": str(origin.timestamp),
        }
        value = origin.value
        if value is None and origin.key is None:
            # A record needs one of the two to be sent.
            value, about["null-value"] = b"", "1"
        return OutRecord(
            topic=origin.topic + SUFFIX,
            key=origin.key,
            value=value,
            headers=[*origin.headers, *_headers(about)],
            partition=origin.partition,
        )

    def without_content(self) -> OutRecord:
        """The record for the dead-letter topic where the whole can't be sent: it says where the
        original lies."""
        full = self.out()
        about = [header for header in full.headers if header[0].startswith(HEADER_PREFIX)]
        about += _headers({"truncated": "1"})
        return OutRecord(full.topic, None, b"", about, full.partition)


def _headers(about: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(HEADER_PREFIX + name, text.encode()) for name, text in about.items()]
