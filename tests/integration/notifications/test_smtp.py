"""Notifications by a real SMTP server and a real database: taken, refused, put off, gone."""

import asyncio
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from app.agents.notification import NotificationService
from app.codec import decode
from app.events import Event, timestamp
from app.notifications import MailUnavailableError
from app.notifications.smtp import SmtpMailer
from app.resources import Resources
from app.settings import Settings
from app.stores.repositories import NOTIFICATIONS, USERS
from app.topics import BY_NAME
from infra.local.ports import free_ports
from infra.local.testing import LocalServers
from tests.builders import START, after, order, order_id, placed
from tests.integration.notifications.mail import MailServer

pytestmark = pytest.mark.timeout(60)
AT = timestamp(START)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@dataclass
class Desk:
    server: MailServer
    resources: Resources

    def another(self) -> NotificationService:
        """The service in another process."""
        return NotificationService(
            self.resources, SmtpMailer.from_settings(self.resources.settings)
        )

    async def tell(self, *events: Event) -> list[Event]:
        out = await self.another().handle(events)
        return [decode(BY_NAME[r.topic], r.key, r.value, r.headers) for r in out]

    async def kept(self) -> dict[str, dict[str, Any]]:
        return {n["_id"]: n async for n in self.resources.database[NOTIFICATIONS].find({})}

    async def statuses(self) -> Counter[str]:
        return Counter(document["status"] for document in (await self.kept()).values())


@pytest.fixture
async def desk(server: MailServer, local_servers: LocalServers) -> AsyncIterator[Desk]:
    name = f"mail_{uuid.uuid4().hex[:8]}"
    settings = Settings(
        mongodb_url=local_servers.mongodb_url.replace("/orderflow", f"/{name}"),
        redis_url=local_servers.redis_url,
        smtp_url=server.url,
        smtp_from="Shop <shop@shop.example>",
        smtp_attempts=3,
    )
    resources = Resources.connect(settings)
    yield Desk(server, resources)
    await resources.close()


def ended(number: int, kind: str = "OrderConfirmed") -> Event:
    return after(placed(number=number), kind, AT, of=order(number=number))


def address(number: int) -> str:
    return f"user-{number}@customers.invalid"


def mail_id(number: int, outcome: str = "confirmed") -> str:
    return f"<{order_id(number)}.{outcome}@shop.example>"


async def test_ends_are_mailed_once_each_to_the_directorys_address_or_the_placeholder(
    desk: Desk,
) -> None:
    await desk.resources.database[USERS].insert_one(
        {"_id": "user-1", "email": "one@example.com", "name": "Zoë One"}
    )
    said = await desk.tell(ended(1), ended(2, "OrderCancelled"), ended(1))

    assert {mail_id(1): 1, mail_id(2, "cancelled"): 1} == desk.server.counts()
    by_id = {taken.id: taken for taken in desk.server.taken}
    first = by_id[mail_id(1)]
    assert ("shop@shop.example", ("one@example.com",)) == (first.sender, first.recipients)
    assert "Zoë One" == first.mail["To"].addresses[0].display_name
    assert (address(2),) == by_id[mail_id(2, "cancelled")].recipients
    assert (
        "the payment was declined"
        in by_id[mail_id(2, "cancelled")].mail.get_body(("plain",)).get_content()
    )
    assert ["NotificationSent"] * 3 == [event.type for event in said]
    assert {"SENT": 2} == await desk.statuses()


async def test_a_replay_mails_nothing_and_says_the_same_with_the_server_gone(desk: Desk) -> None:
    ends = [ended(n) for n in range(1, 21)]
    said = await desk.tell(*ends)
    desk.server.stop()

    assert said == await desk.tell(*ends)
    assert 20 == desk.server.counts().total()


async def test_a_large_batch_is_mailed_over_a_few_connections(desk: Desk) -> None:
    assert 300 == len(await desk.tell(*[ended(n) for n in range(1, 301)]))

    counts = desk.server.counts()
    assert (300, 300) == (len(counts), counts.total())
    assert {"SENT": 300} == await desk.statuses()


@pytest.mark.parametrize("code", ["550 no such user", "554 we do not like it"])
async def test_a_recipient_refused_for_good_is_noted_and_the_others_get_theirs(
    desk: Desk, code: str
) -> None:
    desk.server.answers[address(7)] = code
    said = await desk.tell(*[ended(n) for n in range(1, 31)])

    assert 29 == len(said)
    assert 29 == desk.server.counts().total()
    failed = (await desk.kept())[f"{order_id(7)}:CONFIRMED"]
    assert ("FAILED", code) == (failed["status"], failed["reason"])
    desk.server.answers.clear()
    assert said == await desk.tell(*[ended(n) for n in range(1, 31)])
    assert 29 == desk.server.counts().total(), "what has failed is not tried again"


async def test_a_content_refused_for_good_is_noted(desk: Desk) -> None:
    desk.server.content_answer = "554 spam"

    assert [] == await desk.tell(ended(1))
    assert {"FAILED": 1} == await desk.statuses()


async def test_a_recipient_put_off_is_tried_a_bounded_number_of_times(desk: Desk) -> None:
    desk.server.answers[address(2)] = "450 mailbox busy"
    ends = [ended(n) for n in range(1, 4)]
    for _ in range(2):
        with pytest.raises(MailUnavailableError, match="450 mailbox busy"):
            await desk.tell(*ends)
    assert {"SENT": 2, "PENDING": 1} == await desk.statuses()

    assert 2 == len(await desk.tell(*ends))
    failed = (await desk.kept())[f"{order_id(2)}:CONFIRMED"]
    assert ("FAILED", "put off 3 times: 450 mailbox busy") == (failed["status"], failed["reason"])


async def test_an_address_that_is_none_fails_alone_and_adds_no_recipient(desk: Desk) -> None:
    await desk.resources.database[USERS].insert_one(
        {"_id": "user-1", "email": "a@example.com>\r\nRCPT TO:<b@example.com", "name": "x"}
    )
    said = await desk.tell(ended(1), ended(2))

    assert [order_id(2)] == [event.order_id for event in said]
    assert [(address(2),)] == [taken.recipients for taken in desk.server.taken]
    assert {"SENT": 1, "FAILED": 1} == await desk.statuses()


async def test_with_the_server_away_nothing_is_claimed_and_all_goes_out_when_it_is_back(
    desk: Desk,
) -> None:
    desk.server.stop()
    ends = [ended(n) for n in range(1, 11)]
    with pytest.raises(MailUnavailableError, match=str(desk.server.port)):
        await desk.tell(*ends)
    assert {} == await desk.kept()

    desk.server.start()
    assert 10 == len(await desk.tell(*ends))
    assert 10 == desk.server.counts().total()


@pytest.mark.parametrize("answer", ["550 who are you", "451 not now", "530 log in first"])
async def test_a_sender_that_is_refused_concerns_all_so_all_wait(desk: Desk, answer: str) -> None:
    desk.server.sender_answer = answer
    for _ in range(5):
        with pytest.raises(MailUnavailableError, match=answer):
            await desk.tell(ended(1), ended(2))
    assert {"PENDING": 2} == await desk.statuses()

    desk.server.sender_answer = None
    assert 2 == len(await desk.tell(ended(1), ended(2)))


async def test_an_answer_lost_with_its_connection_is_asked_for_again_under_the_same_id(
    desk: Desk,
) -> None:
    desk.server.hang_up_after = 2
    ends = [ended(n) for n in range(1, 11)]
    with pytest.raises(MailUnavailableError):
        await desk.tell(*ends)
    assert {"SENT": 8, "PENDING": 2} == await desk.statuses()

    assert 10 == len(await desk.tell(*ends))
    counts = desk.server.counts()
    assert {mail_id(n) for n in range(1, 11)} == set(counts)
    assert 12 == counts.total()
    twice = [taken.content for taken in desk.server.taken if counts[taken.id] == 2]
    assert 2 == len(set(twice)), "sent again, a message is the same to the last byte"
    attempts = Counter(document["attempts"] for document in (await desk.kept()).values())
    assert {1: 8, 2: 2} == attempts


async def test_a_server_that_answers_nothing_holds_the_batch_no_longer_than_its_time_limit(
    desk: Desk,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailer = SmtpMailer(
            f"smtp://127.0.0.1:{silent.getsockname()[1]}",
            sender="a@example.com",
            timeout=0.5,
            connections=2,
        )
        async with asyncio.timeout(30):
            with pytest.raises(MailUnavailableError):
                await NotificationService(desk.resources, mailer).handle([ended(1)])


class Logins:
    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bytes]] = []

    def __call__(self, server: Any, session: Any, envelope: Any, way: str, data: Any) -> AuthResult:
        self.seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"s e:cret", handled=False)


def guarded(server: MailServer, logins: Logins, host: str) -> Controller:
    """Takes mail from those who log in; offers no TLS."""
    return Controller(
        server,
        hostname=host,
        port=free_ports(1)[0],
        authenticator=logins,
        auth_require_tls=False,
    )


@pytest.mark.parametrize(("password", "status"), [("s%20e%3Acret", 1), ("wrong", 0)])
async def test_it_logs_in_and_where_it_may_not_all_wait(
    desk: Desk, password: str, status: int
) -> None:
    logins = Logins()
    controller = guarded(desk.server, logins, "127.0.0.1")
    controller.start()
    try:
        mailer = SmtpMailer(
            f"smtp://sh%40op:{password}@127.0.0.1:{controller.port}",
            sender="shop@shop.example",
            timeout=5.0,
            connections=1,
        )
        service = NotificationService(desk.resources, mailer)
        if status:
            assert 1 == len(await service.handle([ended(1)]))
        else:
            with pytest.raises(MailUnavailableError, match="535"):
                await service.handle([ended(1)])
    finally:
        controller.stop()
    assert status == desk.server.counts().total()
    assert b"sh@op" == logins.seen[0][0]


async def test_a_password_never_leaves_the_machine_in_the_clear(desk: Desk) -> None:
    logins = Logins()
    controller = guarded(desk.server, logins, "127.0.0.2")
    controller.start()
    try:
        mailer = SmtpMailer(
            f"smtp://shop:secret@127.0.0.2:{controller.port}",
            sender="shop@shop.example",
            timeout=5.0,
            connections=1,
        )
        with pytest.raises(MailUnavailableError, match="STARTTLS"):
            await NotificationService(desk.resources, mailer).handle([ended(1)])
    finally:
        controller.stop()
    assert [] == logins.seen
