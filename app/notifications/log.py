"""Messages as lines of the log: for a system without a mail server."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from app.domain.notification import Answer, Channel, Delivery
from app.events import MovieMilestoneReached
from app.notifications.message import Message, Telling

logger = logging.getLogger(__name__)


class LogMailer:
    """One line a message, JSON after the word `notification`."""

    channel = Channel.LOG
    at_once = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator["LogMailer"]:
        """The log is always open."""
        yield self

    async def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Write each message's line."""
        for message in messages:
            logger.info(
                "notification %s",
                json.dumps(
                    {
                        **_about(message.telling),
                        "to": message.recipient.address,
                        "subject": message.subject,
                        "messageId": message.id,
                    }
                ),
                extra={"data": _traced(message)},
            )
        return [Delivery(Answer.ACCEPTED)] * len(messages)


def _about(telling: Telling) -> dict[str, str | int]:
    if isinstance(telling, MovieMilestoneReached):
        return {"movieId": telling.movie_id, "milestone": telling.milestone}
    return {"orderId": telling.order_id, "userId": telling.user_id}


def _traced(message: Message) -> dict[str, str]:
    """What the line is found by."""
    found = {"trace_id": message.trace_id, "order_id": getattr(message.telling, "order_id", None)}
    return {name: value for name, value in found.items() if value is not None}
