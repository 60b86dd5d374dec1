"""What is decided about a message, whatever the channel says of it."""

import pytest

from app.domain import notification as domain
from app.domain.notification import (
    Answer,
    Channel,
    Delivery,
    Notification,
    NotificationStatus,
    Recipient,
)
from app.events import Event, NotificationSent, timestamp
from tests.builders import START, after, order, order_id, placed

AT = timestamp(START)
LATER = "2011-12-09T13:00:00.123456Z"


def end(kind: str = "OrderConfirmed") -> Event:
    return after(placed(), kind, AT, of=order())


def claimed(before: Notification | None = None, kind: str = "OrderConfirmed") -> Notification:
    return domain.claim(
        before,
        end(kind),
        recipient=Recipient("alice@example.com", "Alice"),
        channel=Channel.EMAIL,
        domain="Shop.Example",
        now=AT,
    )


def settled(before: Notification, answer: Answer, most: int = 3) -> Notification:
    return domain.settle(before, Delivery(answer, "words"), deferrals_most=most, now=LATER)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("OrderConfirmed", "CONFIRMED"),
        ("OrderCancelled", "CANCELLED"),
        ("OrderPlaced", None),
        ("PaymentProcessed", None),
    ],
)
def test_a_message_is_due_at_an_orders_end_only(kind: str, outcome: str | None) -> None:
    assert outcome == domain.outcome(end(kind))


def test_an_order_has_one_message_an_outcome_with_an_id_that_follows_from_both() -> None:
    assert f"{order_id(1)}:CONFIRMED" == domain.key(end())
    assert f"{order_id(1)}:CANCELLED" == domain.key(end("OrderCancelled"))
    assert f"<{order_id(1)}.confirmed@shop.example>" == claimed().message_id


def test_claimed_again_it_keeps_recipient_and_id_and_counts_the_attempt() -> None:
    first = claimed()
    again = domain.claim(
        first,
        end(),
        recipient=Recipient("moved@example.com"),
        channel=Channel.EMAIL,
        domain="elsewhere.example",
        now=LATER,
    )

    assert (1, 2) == (first.attempts, again.attempts)
    assert (first.recipient, first.message_id) == (again.recipient, again.message_id)
    assert AT == again.claimed_at


def test_accepted_it_is_sent_and_said_again_in_the_same_words_whenever_asked() -> None:
    sent = settled(claimed(), Answer.ACCEPTED)

    assert NotificationStatus.SENT is sent.status
    assert not domain.is_due(sent)
    (said,) = domain.said(sent, end())
    assert (said,) == tuple(domain.said(sent, end()))
    assert isinstance(said.data, NotificationSent)
    assert ("CONFIRMED", "EMAIL", sent.message_id) == (
        said.data.outcome,
        said.data.channel,
        said.data.message_id,
    )
    assert (end().id, LATER) == (said.causation_id, said.time)


def test_each_outcome_is_said_under_an_id_of_its_own() -> None:
    ids = {
        said.id
        for kind in ("OrderConfirmed", "OrderCancelled")
        for said in domain.said(settled(claimed(kind=kind), Answer.ACCEPTED), end(kind))
    }
    assert 2 == len(ids)


def test_rejected_it_has_failed_with_the_servers_words_and_nothing_is_said() -> None:
    failed = settled(claimed(), Answer.REJECTED)

    assert (NotificationStatus.FAILED, "words", LATER) == (failed.status, failed.reason, failed.at)
    assert not domain.is_due(failed)
    assert () == domain.said(failed, end())


def test_put_off_it_is_due_again_until_it_was_put_off_too_often() -> None:
    once = settled(claimed(), Answer.DEFERRED)
    twice = settled(claimed(once), Answer.DEFERRED)
    thrice = settled(claimed(twice), Answer.DEFERRED)

    assert [True, True, False] == [domain.is_due(n) for n in (once, twice, thrice)]
    assert NotificationStatus.FAILED is thrice.status
    assert "put off 3 times: words" == thrice.reason


def test_a_server_that_goes_away_uses_up_no_message_however_often() -> None:
    notification = claimed()
    for _ in range(100):
        notification = settled(claimed(notification), Answer.UNKNOWN)

    assert domain.is_due(notification)
    assert (101, 0) == (notification.attempts, notification.deferrals)
    assert NotificationStatus.SENT is settled(notification, Answer.ACCEPTED).status
