"""A real SMTP server (aiosmtpd) in a thread: takes, refuses, goes away, comes back."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller

from infra.local.ports import LOOPBACK, free_ports


@dataclass(frozen=True)
class Taken:
    """A message that the server said 250 to; `at` is when, of the monotonic clock."""

    at: float
    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def mail(self) -> EmailMessage:
        """The message, parsed."""
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def id(self) -> str:
        """Its Message-ID."""
        return str(self.mail["Message-ID"])


class MailServer:
    """An SMTP server at a port of its own, the same when it comes back.

    Attributes:
        taken: every message it took, in order.
        answers: instead of 250, by recipient: what is said to RCPT.
        content_answer: what is said to every message's end, instead of 250.
        sender_answer: what is said to MAIL FROM, instead of 250.
        hang_up_after: the next so many messages are taken, and the answer is a broken connection.
        delay: seconds between taking a message and saying so.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.port = free_ports(1)[0]
        self.taken: list[Taken] = []
        self.answers: dict[str, str] = {}
        self.content_answer: str | None = None
        self.sender_answer: str | None = None
        self.hang_up_after = 0
        self._lock = threading.Lock()
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        """What `SMTP_URL` says."""
        return f"smtp://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Begin, or come back."""
        self._controller = Controller(self, hostname=LOOPBACK, port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Go away, in the middle of whatever."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def counts(self) -> Counter[str]:
        """How often it took each Message-ID."""
        with self._lock:
            return Counter(taken.id for taken in self.taken)

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.sender_answer is not None:
            return self.sender_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.content_answer is not None:
            return self.content_answer
        taken = Taken(
            time.monotonic(), envelope.mail_from, tuple(envelope.rcpt_tos), envelope.content
        )
        with self._lock:
            self.taken.append(taken)
        if self.hang_up_after:
            self.hang_up_after -= 1
            server.transport.abort()
        await asyncio.sleep(self.delay)
        return "250 OK"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
