"""The notification service over in-memory servers: what is claimed, sent, settled and said."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from app.agents.notification import NotificationService
from app.domain.notification import Answer, Channel, Delivery
from app.events import Event, timestamp
from app.notifications import MailUnavailableError
from app.notifications.log import LogMailer
from app.notifications.message import Message
from app.settings import Settings
from app.stores import repositories
from app.stores.errors import ConflictError
from tests.builders import START, after, milestone, order, order_id, placed, viewed
from tests.unit.agents.fakes import FakeDatabase, heard, resources, run

AT = timestamp(START)


class FakeMailer:
    """A mail server that answers as told, by address; and counts what it took.

    Attributes:
        meanwhile: called once, when messages have been handed over and not yet answered.
    """

    channel = Channel.EMAIL

    def __init__(self, at_once: int = 4) -> None:
        self.at_once = at_once
        self.away = False
        self.answers: dict[str, list[Answer]] = {}
        self.took: list[str] = []
        self.sessions = 0
        self.meanwhile: Callable[[], None] | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator["FakeMailer"]:
        if self.away:
            raise MailUnavailableError("away")
        self.sessions += 1
        yield self

    async def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        assert len(messages) <= self.at_once
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return [self._answer(message) for message in messages]

    def _answer(self, message: Message) -> Delivery:
        if self.away:
            return Delivery(Answer.UNKNOWN, "gone")
        told = self.answers.get(message.recipient.address)
        answer = told.pop(0) if told else Answer.ACCEPTED
        if answer is Answer.ACCEPTED:
            self.took.append(message.id)
        return Delivery(answer, answer.value)


def confirmed(number: int) -> Event:
    return after(placed(number=number), "OrderConfirmed", AT, of=order(number=number))


def cancelled(number: int) -> Event:
    return after(placed(number=number), "OrderCancelled", AT, of=order(number=number))


class Desk:
    def __init__(self, mailer: FakeMailer | LogMailer | None = None) -> None:
        self.database = FakeDatabase()
        self.mailer = mailer or FakeMailer()
        self.kept = self.database[repositories.NOTIFICATIONS]
        self.service = self.another()

    def another(self) -> NotificationService:
        """The service in another process."""
        settings = Settings(smtp_attempts=3)
        return NotificationService(resources(self.database, settings=settings), self.mailer)

    def tell(self, *events: Event) -> list[Event]:
        return heard(run(self.service.handle(events)))

    def statuses(self) -> Counter[str]:
        return Counter(document["status"] for document in self.kept.documents().values())


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def mailer(desk: Desk) -> FakeMailer:
    assert isinstance(desk.mailer, FakeMailer)
    return desk.mailer


def test_only_ends_are_told_each_once_and_said_once_an_event(
    desk: Desk, mailer: FakeMailer
) -> None:
    said = desk.tell(placed(number=1), confirmed(1), confirmed(1), placed(number=2), cancelled(2))

    assert [
        f"<{order_id(1)}.confirmed@orderflow.invalid>",
        f"<{order_id(2)}.cancelled@orderflow.invalid>",
    ] == mailer.took
    assert ["NotificationSent"] * 3 == [event.type for event in said]
    assert said[0] == said[1]
    assert {"SENT": 2} == desk.statuses()


def test_a_milestone_is_told_once_to_the_user_whom_the_settings_name(
    desk: Desk, mailer: FakeMailer
) -> None:
    desk.database[repositories.USERS].insert(
        {"_id": "catalogue", "email": "films@example.com", "name": "Films"}
    )
    reached = milestone("alien", 10)
    said = desk.tell(viewed("alien"), reached, confirmed(1), reached)
    again = desk.tell(reached)

    assert 2 == len(mailer.took)
    assert ["MilestoneNotified", "NotificationSent", "MilestoneNotified"] == [e.type for e in said]
    assert said[0] == said[2] == again[0]
    kept = desk.kept.documents()["alien:MILESTONE:10"]
    assert ("alien", 10, {"address": "films@example.com", "name": "Films"}) == (
        kept["movieId"],
        kept["milestone"],
        kept["recipient"],
    )


def test_a_milestone_without_a_mail_server_is_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(LogMailer())
    with caplog.at_level("INFO"):
        desk.tell(milestone("alien", 100), milestone("alien", 100))

    (line,) = [r.getMessage() for r in caplog.records if r.name == "app.notifications.log"]
    told = json.loads(line.removeprefix("notification "))
    assert ("alien", 100, "catalogue@customers.invalid") == (
        told["movieId"],
        told["milestone"],
        told["to"],
    )


def test_a_replay_sends_nothing_says_the_same_and_opens_no_connection(
    desk: Desk, mailer: FakeMailer
) -> None:
    ends = [confirmed(n) for n in range(1, 11)]
    said = desk.tell(*ends)
    writes = desk.kept.bulk_writes

    assert said == desk.tell(*ends)
    assert (10, 1, writes) == (len(mailer.took), mailer.sessions, desk.kept.bulk_writes)


def test_a_batch_loads_its_documents_and_its_users_once_and_connects_once(
    desk: Desk, mailer: FakeMailer
) -> None:
    desk.tell(*[confirmed(n) for n in range(1, 101)])

    assert (1, 1) == (desk.kept.finds, desk.database[repositories.USERS].finds)
    assert 1 == mailer.sessions
    assert 100 == len(set(mailer.took))


def test_who_is_in_the_directory_is_written_to_at_his_address(desk: Desk) -> None:
    desk.database[repositories.USERS].insert(
        {"_id": "user-1", "email": "one@example.com", "name": "One"}
    )
    desk.tell(confirmed(1), confirmed(2))

    kept = desk.kept.documents()
    assert {"address": "one@example.com", "name": "One"} == (
        kept[f"{order_id(1)}:CONFIRMED"]["recipient"]
    )
    assert "user-2@customers.invalid" == kept[f"{order_id(2)}:CONFIRMED"]["recipient"]["address"]


def test_with_the_server_away_nothing_is_claimed_and_the_batch_is_held(
    desk: Desk, mailer: FakeMailer
) -> None:
    mailer.away = True
    with pytest.raises(MailUnavailableError):
        desk.tell(confirmed(1))
    assert {} == desk.kept.stored

    mailer.away = False
    desk.tell(confirmed(1))
    assert 1 == len(mailer.took)


def test_a_server_that_goes_away_in_the_middle_leaves_what_it_took_noted(
    desk: Desk, mailer: FakeMailer
) -> None:
    ends = [confirmed(n) for n in range(1, 9)]
    mailer.answers["user-6@customers.invalid"] = [Answer.UNKNOWN]
    with pytest.raises(MailUnavailableError):
        desk.tell(*ends)
    assert {"SENT": 7, "PENDING": 1} == desk.statuses()

    assert 8 == len(desk.tell(*ends))
    assert {"SENT": 8} == desk.statuses()
    assert 8 == len(mailer.took) == len(set(mailer.took))


def test_one_message_refused_for_good_is_noted_and_stops_nobody(
    desk: Desk, mailer: FakeMailer
) -> None:
    mailer.answers["user-2@customers.invalid"] = [Answer.REJECTED]

    said = desk.tell(*[confirmed(n) for n in range(1, 4)])

    assert [order_id(1), order_id(3)] == [event.order_id for event in said]
    failed = desk.kept.documents()[f"{order_id(2)}:CONFIRMED"]
    assert ("FAILED", "REJECTED") == (failed["status"], failed["reason"])
    assert said == desk.tell(*[confirmed(n) for n in range(1, 4)])
    assert 2 == len(mailer.took)


def test_one_message_put_off_holds_the_batch_until_it_has_failed(
    desk: Desk, mailer: FakeMailer
) -> None:
    ends = [confirmed(n) for n in range(1, 4)]
    mailer.answers["user-2@customers.invalid"] = [Answer.DEFERRED] * 3
    for _ in range(2):
        with pytest.raises(MailUnavailableError, match="put off"):
            desk.tell(*ends)
    assert {"SENT": 2, "PENDING": 1} == desk.statuses()

    assert 2 == len(desk.tell(*ends))
    assert {"SENT": 2, "FAILED": 1} == desk.statuses()
    assert 2 == len(mailer.took)


def test_after_a_crash_between_claim_and_settling_it_is_sent_again_under_the_same_id(
    desk: Desk, mailer: FakeMailer
) -> None:
    def crash() -> None:
        mailer.took.append(f"<{order_id(1)}.confirmed@orderflow.invalid>")
        raise SystemExit

    mailer.meanwhile = crash
    with pytest.raises(SystemExit):
        desk.tell(confirmed(1))
    assert {"PENDING": 1} == desk.statuses()

    desk.service = desk.another()
    desk.tell(confirmed(1))
    assert {"SENT": 1} == desk.statuses()
    assert 2 == len(mailer.took)
    assert 1 == len(set(mailer.took))
    assert 2 == desk.kept.documents()[f"{order_id(1)}:CONFIRMED"]["attempts"]


def test_a_worker_that_lost_its_claim_meanwhile_notes_nothing(
    desk: Desk, mailer: FakeMailer
) -> None:
    other = desk.another()
    said: list[Event] = []
    mailer.meanwhile = lambda: said.extend(heard(run(other.handle([confirmed(1)]))))

    with pytest.raises(ConflictError):
        desk.tell(confirmed(1))

    assert said == desk.tell(confirmed(1)), "the first to settle is what is told"
    assert 1 == len(set(mailer.took))


def test_a_crash_in_a_large_batch_leaves_one_round_in_doubt(desk: Desk, mailer: FakeMailer) -> None:
    calls = SimpleNamespace(n=0)
    send = mailer.send

    async def dying(messages: Sequence[Message]) -> Sequence[Delivery]:
        calls.n += 1
        if calls.n == 3:
            raise SystemExit
        return await send(messages)

    mailer.send = dying  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        desk.tell(*[confirmed(n) for n in range(1, 101)])
    assert {"SENT": 8, "PENDING": 4} == desk.statuses()


def test_without_a_mail_server_a_batch_is_lines_of_the_log_and_one_write(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(LogMailer())
    with caplog.at_level("INFO"):
        said = desk.tell(*[confirmed(n) for n in range(1, 51)])

    lines = [line for line in caplog.messages if line.startswith('notification {"orderId"')]
    assert 50 == len(lines) == len(said)
    assert (1, 1) == (desk.kept.finds, desk.kept.bulk_writes)
    assert {"LOG"} == {document["channel"] for document in desk.kept.documents().values()}
