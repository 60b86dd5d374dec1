"""The notification service's decisions: one message an order and outcome, or a movie and milestone,
and what became of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.events import (
    Event,
    EventData,
    MilestoneNotified,
    MovieMilestoneReached,
    NotificationSent,
    OrderCancelled,
    OrderConfirmed,
)

SOURCE = "notification"


class NotificationStatus(StrEnum):
    """What became of a message."""

    PENDING = "PENDING"  # somebody is about to send it; after a crash, nobody knows whether he did
    SENT = "SENT"
    FAILED = "FAILED"  # refused for good; `reason` says why


class Channel(StrEnum):
    """How a message goes out."""

    EMAIL = "EMAIL"
    LOG = "LOG"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a message is for."""

    address: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """What a message is about: how an order ended, `CONFIRMED` or `CANCELLED`."""

    order_id: str
    outcome: str

    @property
    def key(self) -> str:
        """The id of its notification."""
        return f"{self.order_id}:{self.outcome}"

    @property
    def mail_id(self) -> str:
        """What its Message-ID has before the `@`."""
        return f"{self.order_id}.{self.outcome}"


@dataclass(frozen=True, slots=True)
class MilestoneView:
    """What a message is about: the view with which a movie reached a milestone."""

    movie_id: str
    milestone: int
    view_id: str

    @property
    def key(self) -> str:
        """The id of its notification: a movie reaches a milestone once."""
        return f"{self.movie_id}:MILESTONE:{self.milestone}"

    @property
    def mail_id(self) -> str:
        """What its Message-ID has before the `@`; a movie's id may hold what must not be there."""
        return f"{self.view_id}.milestone-{self.milestone}"


Occasion = OrderEnd | MilestoneView


@dataclass(frozen=True, slots=True)
class Notification:
    """A message about an order's end, or a movie's milestone.

    Attributes:
        message_id: the same whenever it is sent, so that a mailbox knows a repetition.
        claimed_at: when it was first to be sent.
        attempts: how often it was claimed; above 1, it may have been sent more than once.
        deferrals: how often the server would not take it now.
        at: when it was sent, or had failed.
    """

    occasion: Occasion
    recipient: Recipient
    channel: Channel
    message_id: str
    claimed_at: str
    status: NotificationStatus = NotificationStatus.PENDING
    attempts: int = 0
    deferrals: int = 0
    at: str | None = None
    reason: str | None = None


class Answer(StrEnum):
    """What a channel says of a message."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"  # this message, for good
    DEFERRED = "DEFERRED"  # this message, for now
    UNKNOWN = "UNKNOWN"  # the channel failed: it may have been sent or not


@dataclass(frozen=True, slots=True)
class Delivery:
    """A channel's answer; `reason` is its own words."""

    answer: Answer
    reason: str | None = None


def occasion(event: Event) -> Occasion | None:
    """What the event gives occasion to tell, if it does."""
    match event.data:
        case OrderConfirmed(order_id=order_id):
            return OrderEnd(order_id, "CONFIRMED")
        case OrderCancelled(order_id=order_id):
            return OrderEnd(order_id, "CANCELLED")
        case MovieMilestoneReached(movie_id=movie_id, milestone=milestone, view_id=view_id):
            return MilestoneView(movie_id, milestone, view_id)
    return None


def message_id(about: Occasion, domain: str) -> str:
    """The Message-ID (RFC 5322) of a notification."""
    return f"<{about.mail_id}@{domain}>".lower()


def is_due(notification: Notification | None) -> bool:
    """Whether the message is still to be sent, or may not have been."""
    return notification is None or notification.status is NotificationStatus.PENDING


def claim(
    notification: Notification | None,
    about: Occasion,
    *,
    recipient: Recipient,
    channel: Channel,
    domain: str,
    now: str,
) -> Notification:
    """The message when it is about to be sent. Claimed before, it keeps its recipient and id."""
    if notification is not None:
        return replace(notification, channel=channel, attempts=notification.attempts + 1)
    return Notification(
        occasion=about,
        recipient=recipient,
        channel=channel,
        message_id=message_id(about, domain),
        claimed_at=now,
        attempts=1,
    )


def settle(
    notification: Notification, delivery: Delivery, *, deferrals_most: int, now: str
) -> Notification:
    """The message after the channel's answer; it is not over where that is not known."""
    reason = delivery.reason
    match delivery.answer:
        case Answer.ACCEPTED:
            return replace(notification, status=NotificationStatus.SENT, at=now, reason=None)
        case Answer.REJECTED:
            return replace(notification, status=NotificationStatus.FAILED, at=now, reason=reason)
        case Answer.DEFERRED:
            deferrals = notification.deferrals + 1
            if deferrals < deferrals_most:
                return replace(notification, deferrals=deferrals, reason=reason)
            return replace(
                notification,
                status=NotificationStatus.FAILED,
                deferrals=deferrals,
                at=now,
                reason=f"put off {deferrals} times: {reason}",
            )
    return replace(notification, reason=reason)


def said(notification: Notification, event: Event) -> Sequence[Event]:
    """What is said of a message once it is over, whenever it is asked; of a failed one, nothing."""
    if notification.status is not NotificationStatus.SENT:
        return ()
    assert notification.at is not None
    sent = {
        "channel": notification.channel.value,
        "message_id": notification.message_id,
        "at": datetime.fromisoformat(notification.at),
    }
    data: EventData
    match notification.occasion:
        case OrderEnd() as end:
            data = NotificationSent.model_validate(asdict(end) | sent)
        case MilestoneView() as reached:
            data = MilestoneNotified.model_validate(asdict(reached) | sent)
    return (event.follow(data, source=SOURCE, at=notification.at),)
