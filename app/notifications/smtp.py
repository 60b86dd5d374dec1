"""Messages by SMTP, over a few connections that last for one batch.

What the server says decides who has to wait: what it says of one recipient or one message is that
message's end or delay; everything else (no answer, no login, no sender) concerns all messages, so
all of them wait until somebody has mended it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTP

from app.domain.notification import Answer, Channel, Delivery
from app.notifications import MailUnavailableError
from app.notifications.message import Message, mime, require_address
from app.settings import Settings

# Of one round: few enough that a crash repeats few, enough that a round is worth its two writes.
MESSAGES_A_CONNECTION = 5
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PORTS = {"smtp": 25, "smtps": 465}
PERMANENT = 500  # RFC 5321, 4.2.1: 4yz passes, 5yz does not
CLOSING = 421  # the server goes away
TOO_LARGE = 552  # said of the sender where the size was declared with it (RFC 1870)
FAULTS = (aiosmtplib.SMTPException, OSError, TimeoutError)


class SmtpMailer:
    """Sends through one mail server.

    Args:
        url: `smtp://[user:password@]host[:port]`, or `smtps://…`.
        sender: whom the messages are from, with or without a name.
        timeout: seconds for a connection, and for a message.
        connections: at most so many at once.
    """

    channel = Channel.EMAIL

    def __init__(self, url: str, *, sender: str, timeout: float, connections: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._tls = parts.scheme == "smtps"
        self._sender = sender
        self._timeout = timeout
        self._connections = connections

    @classmethod
    def from_settings(cls, settings: Settings) -> "SmtpMailer":
        """The mailer that the settings describe."""
        return cls(
            settings.smtp_url,
            sender=settings.smtp_from,
            timeout=settings.smtp_timeout_seconds,
            connections=settings.smtp_connections,
        )

    @property
    def at_once(self) -> int:
        """Messages of one round."""
        return self._connections * MESSAGES_A_CONNECTION

    @asynccontextmanager
    async def session(self) -> AsyncIterator["SmtpSession"]:
        """Connect.

        Raises:
            MailUnavailableError: the server does not answer or lets nobody in.
        """
        session = SmtpSession(self)
        await session.open(1)
        try:
            yield session
        except BaseException:
            session.drop()
            raise
        await session.close()

    async def connect(self) -> SMTP:
        """A connection, logged in.

        Raises:
            MailUnavailableError: there is none to be had.
        """
        secret = self._password is not None and self._host not in LOOPBACK
        client = SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._tls,
            # None: where the server offers it.
            start_tls=False if self._tls else True if secret else None,
            timeout=self._timeout,
        )
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
        except FAULTS as error:
            client.close()
            raise MailUnavailableError(
                f"mail server {self._host}:{self._port}: {_words(error)}"
            ) from error
        return client

    async def deliver(self, client: SMTP, message: Message) -> Delivery:
        """Hand one message over.

        Raises:
            SMTPException, OSError, TimeoutError: the fault is not the message's.
        """
        try:
            to = require_address(message.recipient.address)
            content = mime(message, self._sender)
        except ValueError as error:
            return Delivery(Answer.REJECTED, str(error))
        try:
            async with asyncio.timeout(self._timeout):
                await client.sendmail(parseaddr(self._sender)[1], [to], content)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return _verdict(refused.recipients[0])
        except aiosmtplib.SMTPDataError as error:
            return _verdict(error)
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code == TOO_LARGE:
                return _verdict(error)
            raise
        return Delivery(Answer.ACCEPTED)

    @property
    def connections(self) -> int:
        """At most so many at once."""
        return self._connections

    async def quit(self, client: SMTP) -> None:
        """Take leave; a server that does not answer is left all the same."""
        with suppress(*FAULTS):
            async with asyncio.timeout(self._timeout):
                await client.quit()
        client.close()


class SmtpSession:
    """The connections of one batch. One that fails is dropped, and the messages that nobody knows
    of are `UNKNOWN`."""

    def __init__(self, mailer: SmtpMailer) -> None:
        self._mailer = mailer
        self._clients: list[SMTP] = []

    async def open(self, wanted: int) -> None:
        """Have so many connections, or as many as the server allows.

        Raises:
            MailUnavailableError: there is none.
        """
        while len(self._clients) < min(wanted, self._mailer.connections):
            try:
                self._clients.append(await self._mailer.connect())
            except MailUnavailableError:
                if not self._clients:
                    raise
                return

    def drop(self) -> None:
        """Leave without a word: a message may be under way."""
        while self._clients:
            self._clients.pop().close()

    async def close(self) -> None:
        """Take leave."""
        clients, self._clients = self._clients, []
        await asyncio.gather(*(self._mailer.quit(client) for client in clients))

    async def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Send messages over all connections; the answer to each, in order."""
        unknown = Delivery(Answer.UNKNOWN, "the mail server went away")
        deliveries = [unknown] * len(messages)
        try:
            await self.open(len(messages))
        except MailUnavailableError as error:
            return [Delivery(Answer.UNKNOWN, str(error))] * len(messages)
        waiting = deque(enumerate(messages))
        await asyncio.gather(
            *(self._work(client, waiting, deliveries) for client in list(self._clients))
        )
        return deliveries

    async def _work(
        self, client: SMTP, waiting: deque[tuple[int, Message]], deliveries: list[Delivery]
    ) -> None:
        while waiting:
            position, message = waiting.popleft()
            try:
                deliveries[position] = await self._mailer.deliver(client, message)
            except FAULTS as error:
                deliveries[position] = Delivery(Answer.UNKNOWN, _words(error))
                self._clients.remove(client)
                client.close()
                return


def _verdict(error: aiosmtplib.SMTPResponseException) -> Delivery:
    if error.code == CLOSING:
        raise error
    answer = Answer.REJECTED if error.code >= PERMANENT else Answer.DEFERRED
    return Delivery(answer, _words(error))


def _words(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__
