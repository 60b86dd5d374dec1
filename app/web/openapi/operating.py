"""What the operator's routes take and answer."""

from typing import Annotated

from pydantic import Field

from app.operating.acting import ACTED_MOST
from app.operating.handled import State
from app.web import operating
from app.web.openapi.operation import Operation, Operations, Parameter, ok, problems
from app.web.openapi.shared import OF_A_BODY, limit
from app.web.schemas import operating as answers

AWAY = "Kafka, or MongoDB, can't be asked now; try again."
NO_TOPIC = "There is no such topic."
NAME = Annotated[str, Field(min_length=1)]
DEAD_LETTERS_OF = Parameter.path(
    "topic", NAME, "The topic whose letters they are, or its `.dlq`.", "order.events.v1"
)
LONG_CURSOR = Parameter.query(
    "cursor",
    Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,4096}$")],
    "The `nextCursor` of the page before.",
)
ALL = f"Without ids: those that are open, oldest first, {ACTED_MOST} at most; `remaining` says "
OPERATING: Operations = {
    ("GET", "/topics"): Operation(
        "listTopics",
        "kafka",
        "The topics, and how far each reaches",
        ok(answers.Topics),
        problems(of_503=AWAY),
    ),
    ("GET", "/topics/{topic}/messages"): Operation(
        "listMessages",
        "kafka",
        "Messages of a topic, the newest or from an offset on",
        ok(answers.Messages),
        problems(422, of_404="There is no such topic, or no such partition.", of_503=AWAY),
        (
            Parameter.path("topic", NAME, "The topic.", "order.events.v1"),
            Parameter.query(
                "partition",
                Annotated[int, Field(ge=0, le=operating.PARTITION_MOST)],
                "Only of this one.",
                0,
            ),
            Parameter.query(
                "offset",
                Annotated[int, Field(ge=0, le=operating.OFFSET_MOST)],
                "From here on, in each partition: an offset before the oldest message is the "
                "oldest's, one after the newest the end. Without it, the newest.",
                0,
            ),
            limit(operating.MESSAGES_DEFAULT, operating.MESSAGES_MOST),
        ),
        description="Read without a group: nobody's offset moves. A page goes on at the "
        "`nextOffset` of its partition, and back at the first one's offset less `limit`.",
    ),
    ("GET", "/groups"): Operation(
        "listGroups",
        "kafka",
        "The consumer groups: who has what, and how far behind",
        ok(answers.Groups),
        problems(of_503=AWAY),
    ),
    ("GET", "/dlq"): Operation(
        "listDeadLetters",
        "kafka",
        "Dead letters, newest first",
        ok(answers.DeadLetters),
        problems(
            422, of_400="The cursor is not one that this list gave.", of_404=NO_TOPIC, of_503=AWAY
        ),
        (
            Parameter.query(
                "topic", Annotated[str, Field()], "Only of this topic.", "order.events.v1"
            ),
            Parameter.query("state", State, "Only those that stand so."),
            limit(operating.LETTERS_DEFAULT, operating.LETTERS_MOST),
            LONG_CURSOR,
        ),
    ),
    ("POST", "/dlq/{topic}/replay"): Operation(
        "replayDeadLetters",
        "kafka",
        "Send dead letters to their topic again",
        ok(answers.Replayed),
        problems(*OF_A_BODY, of_404=NO_TOPIC, of_503=AWAY),
        (DEAD_LETTERS_OF,),
        body=operating.Replay,
        example={"ids": ["order.events.v1.dlq-2-15"]},
        description="Key, value, headers and partition are those of the original, so that effects "
        f"stay exactly once. {ALL}how many are left.",
    ),
    ("POST", "/dlq/{topic}/discard"): Operation(
        "discardDeadLetters",
        "kafka",
        "Note that dead letters are not to be replayed",
        ok(answers.Discarded),
        problems(*OF_A_BODY, of_404=NO_TOPIC, of_503=AWAY),
        (DEAD_LETTERS_OF,),
        body=operating.Discard,
        example={"ids": ["order.events.v1.dlq-2-15"], "why": "sent by mistake"},
        description=f"{ALL}how many are left.",
    ),
}
