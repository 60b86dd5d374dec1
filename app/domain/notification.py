"""The notification service's decisions: one message an order and outcome, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.events import Event, NotificationSent, OrderCancelled, OrderConfirmed

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
class Notification:
    """A message about an order's end.

    Attributes:
        outcome: `CONFIRMED` or `CANCELLED`.
        message_id: the same whenever it is sent, so that a mailbox knows a repetition.
        claimed_at: when it was first to be sent.
        attempts: how often it was claimed; above 1, it may have been sent more than once.
        deferrals: how often the server would not take it now.
        at: when it was sent, or had failed.
    """

    order_id: str
    outcome: str
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


def outcome(event: Event) -> str | None:
    """The end of an order that the event tells of, if it does."""
    match event.data:
        case OrderConfirmed():
            return "CONFIRMED"
        case OrderCancelled():
            return "CANCELLED"
    return None


def key(event: Event) -> str:
    """The id of the notification of an order's end."""
    return f"{event.order_id}:{outcome(event)}"


def message_id(event: Event, domain: str) -> str:
    """The Message-ID (RFC 5322) of the notification of an order's end."""
    return f"<{event.order_id}.{outcome(event)}@{domain}>".lower()


def is_due(notification: Notification | None) -> bool:
    """Whether the message is still to be sent, or may not have been."""
    return notification is None or notification.status is NotificationStatus.PENDING


def claim(
    notification: Notification | None,
    event: Event,
    *,
    recipient: Recipient,
    channel: Channel,
    domain: str,
    now: str,
) -> Notification:
    """The message when it is about to be sent. Claimed before, it keeps its recipient and id."""
    if notification is not None:
        return replace(notification, channel=channel, attempts=notification.attempts + 1)
    ended = outcome(event)
    assert ended is not None
    return Notification(
        order_id=event.order_id,
        outcome=ended,
        recipient=recipient,
        channel=channel,
        message_id=message_id(event, domain),
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
    data = NotificationSent.model_validate(
        {
            "order_id": notification.order_id,
            "outcome": notification.outcome,
            "channel": notification.channel.value,
            "message_id": notification.message_id,
            "at": datetime.fromisoformat(notification.at),
        }
    )
    return (event.follow(data, source=SOURCE, at=notification.at),)
