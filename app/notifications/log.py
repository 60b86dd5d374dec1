"""Messages as lines of the log: for a system without a mail server."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from app.domain.notification import Answer, Channel, Delivery
from app.notifications.message import Message

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
                        "orderId": message.order.order_id,
                        "userId": message.order.user_id,
                        "to": message.recipient.address,
                        "subject": message.subject,
                        "messageId": message.id,
                    }
                ),
            )
        return [Delivery(Answer.ACCEPTED)] * len(messages)
