"""How what an operator asks for looks outside, over HTTP and as `--json`: camelCase, times UTC."""

import contextlib
from base64 import b64encode
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from app.operating.acting import Outcome
from app.operating.catalogue import Topic, key_of
from app.operating.groups import Group
from app.operating.handled import State
from app.operating.letters import Headers, Letter
from app.operating.listing import Page as LetterPage
from app.operating.listing import Shown
from app.operating.messages import Message, Page, text
from app.topics import BY_NAME

ORDER_KEY = "orderId"


def topic_document(topic: Topic) -> dict[str, Any]:
    """A topic."""
    about = topic.about
    document: dict[str, Any] = {
        "name": about.name,
        "kind": about.kind.value,
        "owner": about.owner,
        "key": about.key,
        "messages": topic.messages,
        "retentionHours": about.retention_hours,
        "partitions": [
            {"partition": number, "begin": extent.begin, "end": extent.end}
            for number, extent in topic.partitions.items()
        ],
    }
    if about.dead_letters is not None:
        document["deadLetterTopic"] = about.dead_letters
    return document


def messages_document(topic: str, page: Page) -> dict[str, Any]:
    """Messages of a topic."""
    return {
        "topic": topic,
        "partitions": [
            {
                "partition": each.partition,
                "begin": each.extent.begin,
                "end": each.extent.end,
                "nextOffset": each.next_offset,
            }
            for each in page.partitions
        ],
        "messages": [message_document(message) for message in page.messages],
    }


def message_document(message: Message) -> dict[str, Any]:
    """A message."""
    document: dict[str, Any] = {
        "partition": message.partition,
        "offset": message.offset,
        "at": time_of(message.timestamp),
        "key": key_document(message.key),
        "headers": headers_document(message.headers),
        "value": value_document(message.value, whole=not message.truncated),
        "bytes": message.size,
    }
    if message.type is not None:
        document["type"] = message.type
    if message.truncated:
        document["truncated"] = True
    return document


def group_document(group: Group) -> dict[str, Any]:
    """A consumer group."""
    return {
        "group": group.name,
        "service": group.service,
        "state": group.state,
        "members": [
            {
                "id": member.id,
                "clientId": member.client_id,
                "host": member.host,
                "partitions": [
                    {"topic": tp.topic, "partition": tp.partition} for tp in member.partitions
                ],
            }
            for member in group.members
        ],
        "partitions": [
            {
                "topic": each.topic,
                "partition": each.partition,
                "committed": each.committed,
                "end": each.end,
                "lag": each.lag,
            }
            for each in group.partitions
        ],
        "lag": group.lag,
    }


def letters_document(page: LetterPage) -> dict[str, Any]:
    """Dead letters, and how many there are; where they go on is up to who asks."""
    return {
        "deadLetters": [letter_document(shown) for shown in page.letters],
        "counts": counts_document(page.counts),
    }


def counts_document(counts: Mapping[str, Counter[State]]) -> list[dict[str, Any]]:
    """How many letters of each topic are in each state."""
    return [
        {"topic": topic.removesuffix(".dlq"), **{state.value: of[state] for state in State}}
        for topic, of in counts.items()
    ]


def letter_document(shown: Shown) -> dict[str, Any]:
    """A dead letter."""
    letter, done = shown.letter, shown.done
    whole = len(letter.value or b"") == shown.size
    document: dict[str, Any] = {
        "id": letter.id,
        "topic": letter.topic,
        "deadLetterTopic": letter.place.topic,
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "key": key_document(letter.key),
        "reason": letter.reason,
        "detail": letter.detail,
        "group": letter.group,
        "at": time_of(letter.timestamp),
        "headers": headers_document(letter.headers),
        "value": value_document(letter.value, whole=whole),
        "bytes": shown.size,
        "replays": shown.replays,
        "state": shown.state.value,
    }
    if letter.original is not None:
        document["original"] = {
            "partition": letter.original.partition,
            "offset": letter.original.offset,
        }
    if not whole:
        document["truncated"] = True
    if letter.without_content:
        document["withoutContent"] = True
    order_id = order_of(letter)
    if order_id is not None:
        document["orderId"] = order_id
    if done is not None:
        told = {"handledAt": iso(done.at), "handledBy": done.by, "why": done.why}
        document |= {name: value for name, value in told.items() if value is not None}
    return document


def order_of(letter: Letter) -> str | None:
    """The order that the letter is about, where its key is an order's id."""
    spec = BY_NAME.get(letter.topic)
    if spec is None or key_of(spec) != ORDER_KEY or letter.key is None:
        return None
    try:
        return str(UUID(letter.key.decode()))
    except ValueError:
        return None


def outcome_document(outcome: Outcome, done: State) -> dict[str, Any]:
    """What came of a replay or a discard."""
    return {
        done.value: len(outcome.ids),
        "ids": outcome.ids,
        "failed": [{"id": each, "detail": words} for each, words in outcome.failed.items()],
        "remaining": outcome.remaining,
    }


def headers_document(headers: Headers | Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Headers by name; of one that is there twice the last, as for those who read them."""
    return {name: text(content or b"") for name, content in headers}


def key_document(key: bytes | None) -> str | None:
    """A key as text."""
    return None if key is None else text(key)


def value_document(value: bytes | None, *, whole: bool) -> Any:
    """A value: JSON as it is, all else as base64; with the text beside it, where it is one.

    Of a value that is not whole, the beginning.
    """
    if value is None:
        return None
    if whole:
        with contextlib.suppress(orjson.JSONDecodeError):
            orjson.loads(value)
            # As it was written: numbers keep all their digits.
            return orjson.Fragment(value)
    document = {"base64": b64encode(value).decode()}
    with contextlib.suppress(UnicodeDecodeError):
        # The beginning of a text may end within a character.
        document["text"] = getincrementaldecoder("utf-8")().decode(value, final=whole)
    return document


def time_of(milliseconds: int) -> str | None:
    """A record's time; null where it has none, or none that there is."""
    try:
        return iso(datetime.fromtimestamp(milliseconds / 1000, UTC)) if milliseconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None


def iso(at: datetime) -> str:
    """`at` in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
