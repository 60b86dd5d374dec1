"""Answers about topics, consumer groups and dead letters."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.schemas.values import AnswerModel, Count, Cursor, OrderId, Time, absent

Partition = Annotated[int, Field(ge=0)]
Offset = Annotated[int, Field(ge=0)]
RecordTime = Annotated[
    str | None,
    Field(
        json_schema_extra={"format": "date-time"},
        description="As its producer said; null where it said none.",
    ),
]
Key = Annotated[str | None, Field(description="As text; bytes that are none as `\\xff`.")]
Headers = Annotated[dict[str, str], Field(description="As text, by their names.")]
Value = Annotated[
    Any,
    Field(
        description="JSON as it is. All else, and the beginning of what is too long to be shown, "
        "is `{base64}`, with `text` where it is one."
    ),
]


class PartitionExtent(AnswerModel):
    """What a partition holds: the offsets from `begin` up to, and without, `end`."""

    partition: Partition
    begin: Offset
    end: Offset


class Topic(AnswerModel):
    """A topic."""

    name: str
    kind: Literal["events", "input", "deadLetters", "changelog"]
    owner: str = Field(description="The service that writes it.")
    key: str = Field(description="What its messages are keyed by.")
    messages: Annotated[int, Field(ge=0, description="Of a changelog, also what was compacted.")]
    retention_hours: int | None = Field(description="Null: of each key the newest, for ever.")
    partitions: list[PartitionExtent]
    dead_letter_topic: str = absent(description="Takes what can't be processed.")


class Topics(AnswerModel):
    """The topics of the system."""

    topics: list[Topic]


class PartitionPage(PartitionExtent):
    """A partition, and where the next page of it begins."""

    next_offset: Offset


class Message(AnswerModel):
    """A message."""

    partition: Partition
    offset: Offset
    at: RecordTime
    key: Key
    type: str = absent(description="The event's name, where it says one.")
    headers: Headers
    value: Value
    bytes: Annotated[int, Field(ge=0, description="Of the whole value.")]
    truncated: Literal[True] = absent(description="`value` is only the beginning.")


class Messages(AnswerModel):
    """Messages in the order of their times, those of each partition in its own."""

    topic: str
    partitions: list[PartitionPage]
    messages: list[Message]


class TopicPartition(AnswerModel):
    """A partition of a topic."""

    topic: str
    partition: Partition


class Member(AnswerModel):
    """A process's membership in a group."""

    id: str
    client_id: str
    host: str
    partitions: list[TopicPartition]


class Progress(AnswerModel):
    """How far a group is with a partition."""

    topic: str
    partition: Partition
    committed: Offset | None = Field(description="Null where it has committed nothing.")
    end: Offset
    lag: Count


class Group(AnswerModel):
    """A consumer group."""

    group: str
    service: str
    state: str = Field(description="In Kafka's words.", examples=["Stable"])
    members: list[Member]
    partitions: list[Progress]
    lag: Count


class Groups(AnswerModel):
    """The consumer groups, also those of which no process runs."""

    groups: list[Group]


class RecordPlace(AnswerModel):
    """Where a record lies in its topic."""

    partition: Partition
    offset: Offset


class DeadLetter(AnswerModel):
    """A record that could not be processed, and what was done about it."""

    id: str
    topic: str
    dead_letter_topic: str
    partition: Partition
    offset: Offset
    key: Key
    reason: str = Field(examples=["undecodable", "unprocessable"])
    detail: str
    group: str = Field(description="The consumer group that gave it up.")
    original: RecordPlace = absent(description="Where it was, where the letter says so.")
    at: RecordTime
    headers: Annotated[Headers, Field(description="Those of the original.")]
    value: Value
    bytes: Annotated[int, Field(ge=0, description="Of the whole value.")]
    truncated: Literal[True] = absent(description="`value` is only the beginning.")
    without_content: Literal[True] = absent(
        description="It was too large to be kept here; a replay takes it from where it was."
    )
    order_id: OrderId = absent()
    replays: Annotated[int, Field(ge=0, description="How often its like was replayed before.")]
    state: Literal["open", "replayed", "discarded"]
    handled_at: Time = absent()
    handled_by: str = absent(description="The user who did it, where somebody was asked.")
    why: str = absent(description="Why it was discarded.")


class DeadLetterCounts(AnswerModel):
    """How many letters of a topic are in each state."""

    topic: str
    open: Count
    replayed: Count
    discarded: Count


class DeadLetters(AnswerModel):
    """Dead letters, newest first."""

    dead_letters: list[DeadLetter]
    counts: list[DeadLetterCounts]
    next_cursor: Cursor


class FailedLetter(AnswerModel):
    """A letter of which it was not done, and why."""

    id: str
    detail: str


class Acted(AnswerModel):
    """What came of it."""

    ids: list[str]
    failed: list[FailedLetter]
    remaining: Annotated[int, Field(ge=0, description="Letters of the topic still open.")]


class Replayed(Acted):
    """What came of a replay."""

    replayed: Count


class Discarded(Acted):
    """What came of a discard."""

    discarded: Count
