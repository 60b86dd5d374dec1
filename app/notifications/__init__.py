"""How users are told: the port that the notification service sends through, and its two adapters.

| module     | holds |
| message.py | the message: its templates filled in, and its MIME form |
| smtp.py    | the mail server |
| log.py     | a line of the log for each message, where no mail server is configured |
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from app.domain.notification import Channel, Delivery
from app.notifications.message import Message
from app.stores.errors import TransientStoreError


class MailUnavailableError(TransientStoreError):
    """The mail server does not answer, or refuses everything: what is to be sent waits."""


class Session(Protocol):
    """An open channel."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Send messages side by side; the answer to each, in order. Raises no fault of the channel:
        a message whose fate it hides is `UNKNOWN`."""
        ...


class Mailer(Protocol):
    """A channel."""

    @property
    def channel(self) -> Channel:
        """What it is called."""
        ...

    @property
    def at_once(self) -> int | None:
        """Messages of one round: what is claimed beforehand, and may be sent again after a crash.
        None where a repetition harms nobody, so that nothing need be claimed."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Open the channel.

        Raises:
            MailUnavailableError: it can't be opened now.
        """
        ...
