"""Dead letters: a record that can't be processed goes to `<topic>.dlq` with its reason and origin.

It keeps its key, value, headers and partition, so it can be sent back as it was.
"""

from dataclasses import dataclass
from typing import Any

from app.streaming.publisher import OutRecord

SUFFIX = ".dlq"
# A reason is for people; a value quoted in it must not make the record too large to be sent.
DETAIL_MAX_CHARACTERS = 1000
HEADER_PREFIX = "dlq-"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record and why it can't be processed.

    Attributes:
        record: the record as it was consumed (`topic`, `partition`, `offset`, `key`, `value`,
            `headers`).
        reason: a short code, such as `undecodable`.
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
        return OutRecord(
            topic=origin.topic + SUFFIX,
            key=origin.key,
            value=origin.value,
            headers=[
                *origin.headers,
                *((HEADER_PREFIX + name, text.encode()) for name, text in about.items()),
            ],
            partition=origin.partition,
        )
