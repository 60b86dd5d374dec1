"""`/topics`, `/groups` and `/dlq`: Kafka as those who look after the system see it."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from aiokafka import TopicPartition
from pydantic import AfterValidator, Field

from app.agents.registry import heard
from app.operating import catalogue, documents, groups, messages
from app.operating.acting import ACTED_MOST, Acting
from app.operating.broker import Broker, BrokerAwayError
from app.operating.catalogue import UnknownTopicError
from app.operating.groups import Heard
from app.operating.handled import State
from app.operating.letterbox import TOPICS, dead_letters_of
from app.operating.listing import Bounds, Listing, TooManyPartitionsError
from app.operating.messages import UnknownPartitionError
from app.resources import Resources
from app.schemas import PRINTABLE
from app.settings import Settings
from app.web import cursors
from app.web.access import caller_of
from app.web.answers import json_response
from app.web.parameters import choice, whole_number
from app.web.problems import ProblemError, invalid, unavailable
from app.web.requests import RequestModel, error_of, parse, printable, read_json_body
from app.web.shielded import Shielded

MESSAGES_DEFAULT = 50
MESSAGES_MOST = 200
LETTERS_DEFAULT = 50
LETTERS_MOST = 200
# Kafka's offsets have 63 bits.
OFFSET_MOST = 10**18 - 1
PARTITION_MOST = 10**6 - 1
ID_CHARACTERS = 300
WHY_CHARACTERS = 500
LISTED = "dlq"
# A broker that was away is back after some seconds.
RETRY_BROKER_SECONDS = 5.0
WHERE = re.compile(r"([0-9]{1,3})\.([0-9]{1,6}):([0-9]{1,18})")

LetterId = Annotated[str, Field(min_length=1, max_length=ID_CHARACTERS)]
Ids = Annotated[tuple[LetterId, ...], Field(min_length=1, max_length=ACTED_MOST)]

Why = Annotated[
    str,
    Field(min_length=1, max_length=WHY_CHARACTERS, json_schema_extra=PRINTABLE),
    AfterValidator(printable),
]


class Replay(RequestModel):
    """The body of `POST /dlq/{topic}/replay`: which letters; without ids those that are open."""

    ids: Ids | None = None


class Discard(RequestModel):
    """The body of `POST /dlq/{topic}/discard`: as for a replay, and why."""

    ids: Ids | None = None
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class OperatingViews:
    """The operator's views.

    Attributes:
        heard: the consumer groups there are, each with its topics.
    """

    settings: Settings
    broker: Broker
    listing: Listing
    acting: Acting
    heard: Callable[[], Heard]
    _to_its_end: Shielded = field(default_factory=Shielded)

    async def topics(self, request: web.Request) -> web.Response:
        """`GET /topics`."""
        async with answering():
            found = await catalogue.topics(self.broker, self.settings)
        return json_response({"topics": [documents.topic_document(topic) for topic in found]})

    async def messages(self, request: web.Request) -> web.Response:
        """`GET /topics/{topic}/messages`."""
        query, topic = request.query, request.match_info["topic"]
        limit = whole_number(query, "limit", default=MESSAGES_DEFAULT, most=MESSAGES_MOST)
        partition = number_of(query, "partition", PARTITION_MOST)
        offset = number_of(query, "offset", OFFSET_MOST)
        async with answering():
            if topic not in catalogue.registry(self.settings):
                raise UnknownTopicError(topic)
            page = await messages.messages(
                self.broker, topic, partition=partition, offset=offset, limit=limit
            )
        return json_response(documents.messages_document(topic, page))

    async def groups(self, request: web.Request) -> web.Response:
        """`GET /groups`."""
        async with answering():
            found = await groups.groups(self.broker, self.heard())
        return json_response({"groups": [documents.group_document(group) for group in found]})

    async def letters(self, request: web.Request) -> web.Response:
        """`GET /dlq`."""
        query = request.query
        limit = whole_number(query, "limit", default=LETTERS_DEFAULT, most=LETTERS_MOST)
        state = choice(query, "state", State)
        position = cursors.cursor_of(query, LISTED, 1)
        async with answering():
            topic = dead_letters_of(query["topic"]) if query.get("topic") else None
            page = await self.listing.page(
                topic,
                state=state,
                limit=limit,
                bounds=bounds_in(position[0]) if position else None,
            )
        cursor = cursors.encode(LISTED, text_of(page.bounds)) if page.bounds else None
        return json_response({**documents.letters_document(page), "nextCursor": cursor})

    async def replay(self, request: web.Request) -> web.Response:
        """`POST /dlq/{topic}/replay`: goes on when its client leaves."""
        asked = parse(Replay, await read_json_body(request))
        async with answering():
            topic = dead_letters_of(request.match_info["topic"])
            outcome = await self._to_its_end(self.acting.replay(topic, asked.ids, by=_who(request)))
        return json_response(documents.outcome_document(outcome, State.REPLAYED))

    async def discard(self, request: web.Request) -> web.Response:
        """`POST /dlq/{topic}/discard`."""
        asked = parse(Discard, await read_json_body(request))
        async with answering():
            topic = dead_letters_of(request.match_info["topic"])
            outcome = await self._to_its_end(
                self.acting.discard(topic, asked.ids, by=_who(request), why=asked.why)
            )
        return json_response(documents.outcome_document(outcome, State.DISCARDED))


def operator_views(resources: Resources) -> OperatingViews:
    """The views, over what the process has."""
    settings = resources.settings
    broker = Broker(settings)
    return OperatingViews(
        settings,
        broker,
        Listing(broker, resources.reads),
        Acting(broker, resources.database, resources.clock),
        cache(partial(heard, settings)),
    )


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Turns what an operator's question may meet into problems.

    Raises:
        ProblemError: 404 there is no such thing, 422 it must be said more closely, 503 Kafka does
            not answer.
    """
    try:
        yield
    except UnknownTopicError as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no topic {error}.") from error
    except UnknownPartitionError as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error
    except TooManyPartitionsError as error:
        detail = "must be given: letters are in more partitions than one list can show"
        raise invalid([error_of("topic", detail)]) from error
    except BrokerAwayError as error:
        raise unavailable(
            "Kafka can't be asked now; try again.", retry_after=RETRY_BROKER_SECONDS
        ) from error


def number_of(query: Mapping[str, str], name: str, most: int) -> int | None:
    """The query parameter `name`, a whole number up to `most`; None where it is not given.

    Raises:
        ProblemError: 422 where it is something else.
    """
    given = query.get(name)
    if not given:
        return None
    if re.fullmatch(r"[0-9]{1,18}", given) and int(given) <= most:
        return int(given)
    raise invalid([error_of(name, f"must be a whole number from 0 to {most}")])


def text_of(bounds: Bounds) -> str:
    """The bounds as a cursor has them: topics by their place in the registry."""
    return ",".join(f"{TOPICS.index(tp.topic)}.{tp.partition}:{end}" for tp, end in bounds.items())


def bounds_in(position: str) -> Bounds:
    """The bounds of a cursor that this list gave."""
    return {
        TopicPartition(TOPICS[int(topic)], int(partition)): int(end)
        for topic, partition, end in WHERE.findall(position)
        if int(topic) < len(TOPICS)
    }


def _who(request: web.Request) -> str | None:
    return caller_of(request).user_id or None
