"""What is decided about a message, whatever the channel says of it."""

import pytest

from app.domain import notification as domain
from app.domain.notification import (
    Answer,
    Channel,
    Delivery,
    MilestoneView,
    Notification,
    NotificationStatus,
    Occasion,
    OrderEnd,
    Recipient,
)
from app.events import Event, MilestoneNotified, NotificationSent, timestamp
from tests.builders import START, after, milestone, order, order_id, placed, view_id, viewed

AT = timestamp(START)
LATER = "2011-12-09T13:00:00.123456Z"


def end(kind: str = "OrderConfirmed") -> Event:
    return after(placed(), kind, AT, of=order())


def about(kind: str = "OrderConfirmed") -> Occasion:
    occasion = domain.occasion(end(kind))
    assert occasion is not None
    return occasion


def claimed(before: Notification | None = None, kind: str = "OrderConfirmed") -> Notification:
    return domain.claim(
        before,
        about(kind),
        recipient=Recipient("alice@example.com", "Alice"),
        channel=Channel.EMAIL,
        domain="Shop.Example",
        now=AT,
    )


def settled(before: Notification, answer: Answer, most: int = 3) -> Notification:
    return domain.settle(before, Delivery(answer, "words"), deferrals_most=most, now=LATER)


@pytest.mark.parametrize(
    ("event", "occasion"),
    [
        (end("OrderConfirmed"), OrderEnd(order_id(1), "CONFIRMED")),
        (end("OrderCancelled"), OrderEnd(order_id(1), "CANCELLED")),
        (milestone("alien", 100), MilestoneView("alien", 100, view_id(100))),
        (end("OrderPlaced"), None),
        (end("PaymentProcessed"), None),
        (viewed("alien"), None),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_a_message_is_due_at_an_orders_end_or_a_movies_milestone_only(
    event: Event, occasion: Occasion | None
) -> None:
    assert occasion == domain.occasion(event)


def test_an_order_has_one_message_an_outcome_with_an_id_that_follows_from_both() -> None:
    assert f"{order_id(1)}:CONFIRMED" == about().key
    assert f"{order_id(1)}:CANCELLED" == about("OrderCancelled").key
    assert f"<{order_id(1)}.confirmed@shop.example>" == claimed().message_id


def test_a_movie_has_one_message_a_milestone_whose_id_no_movie_can_break() -> None:
    occasion = domain.occasion(milestone('"<x>@\n', 10))

    assert isinstance(occasion, MilestoneView)
    assert '"<x>@\n:MILESTONE:10' == occasion.key
    assert f"<{view_id(10)}.milestone-10@shop.example>" == domain.message_id(
        occasion, "Shop.Example"
    )


def test_a_milestone_that_was_told_is_said_as_an_event_of_the_movie() -> None:
    event = milestone("alien", 10)
    occasion = domain.occasion(event)
    assert occasion is not None
    told = domain.claim(
        None, occasion, recipient=Recipient("a@b.example"), channel=Channel.LOG, domain="x", now=AT
    )
    (said,) = domain.said(settled(told, Answer.ACCEPTED), event)

    assert isinstance(said.data, MilestoneNotified)
    assert ("alien", 10, view_id(10)) == (said.key, said.data.milestone, said.data.view_id)
    assert (event.id, view_id(10), LATER) == (said.causation_id, said.correlation_id, said.time)


def test_claimed_again_it_keeps_recipient_and_id_and_counts_the_attempt() -> None:
    first = claimed()
    again = domain.claim(
        first,
        about(),
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
