"""Notification service: tells who ordered how the order ended, once an order and outcome.

Consumes: order.events.v1 (OrderConfirmed, OrderCancelled), key: order id.
Produces: notification.events.v1. Stores: notifications, one document an order and outcome.
Compensates: nothing; it is told ends, and what was sent can't be taken back.

A mail server can't be asked whether it has a message, so a message is claimed before it is sent
and settled after. A crash between the two leaves it claimed, and it is sent again under the same
Message-ID: never lost, and a repetition is known as one.
"""

from collections.abc import Mapping, Sequence

from app.agents.folding import outgoing
from app.domain import notification as domain
from app.domain.notification import Answer, Notification, NotificationStatus, Recipient
from app.events import Event, OrderCancelled, OrderConfirmed, timestamp
from app.notifications import Mailer, MailUnavailableError, Session
from app.notifications.message import Message, domain_of, placeholder
from app.resources import Resources
from app.stores import repositories
from app.stores.mongo import Stored, translated
from app.streaming import OutRecord
from app.topics import BY_EVENT

Ends = Mapping[str, Event]
"""The events that tell of an order's end, by the key of the notification that is due for each."""


class NotificationService:
    """Sends through a channel, and notes what was sent."""

    def __init__(self, resources: Resources, mailer: Mailer) -> None:
        settings = resources.settings
        self._clock = resources.clock
        self._mailer = mailer
        self._deferrals_most = settings.smtp_attempts
        self._sender_domain = domain_of(settings.smtp_from)
        self._unknown_domain = settings.smtp_unknown_domain
        self._notifications = repositories.notifications(resources.database)
        self._users = resources.database[repositories.USERS]

    @property
    def topics(self) -> tuple[str, ...]:
        """The topic of the ends of orders."""
        ends = (OrderConfirmed, OrderCancelled)
        return tuple(dict.fromkeys(BY_EVENT[end.__name__].name for end in ends))

    async def handle(self, events: Sequence[Event]) -> list[OutRecord]:
        """Send what is due, and say so; what was sent before is said again and not sent again.

        Raises:
            MailUnavailableError: not everything could be sent now. What could is noted.
        """
        told = [event for event in events if domain.outcome(event)]
        ends: Ends = {domain.key(event): event for event in told}
        stored = await self._notifications.load(ends)
        due = {key: event for key, event in ends.items() if domain.is_due(stored[key].state)}
        over = {key: entry.state for key, entry in stored.items() if key not in due and entry.state}
        if due:
            over |= await self._send(due, stored)
        return outgoing(
            said for event in told for said in domain.said(over[domain.key(event)], event)
        )

    async def _send(
        self, due: Ends, stored: Mapping[str, Stored[Notification]]
    ) -> dict[str, Notification]:
        """Send all, some at a time; what became of each."""
        done: dict[str, Notification] = {}
        keys = list(due)
        # Before anything is claimed: with the server away, nothing need be written.
        async with self._mailer.session() as session:
            recipients = await self._recipients(due)
            step = self._mailer.at_once or len(keys)
            for start in range(0, len(keys), step):
                some = {key: due[key] for key in keys[start : start + step]}
                done |= await self._round(session, some, stored, recipients)
        for notification in done.values():
            if notification.status is NotificationStatus.PENDING:
                raise MailUnavailableError(f"put off by the mail server: {notification.reason}")
        return done

    async def _round(
        self,
        session: Session,
        due: Ends,
        stored: Mapping[str, Stored[Notification]],
        recipients: Mapping[str, Recipient],
    ) -> dict[str, Notification]:
        """Claim, send, settle."""
        now = timestamp(self._clock())
        claimed = {
            key: domain.claim(
                stored[key].state,
                event,
                recipient=recipients[key],
                channel=self._mailer.channel,
                domain=self._sender_domain,
                now=now,
            )
            for key, event in due.items()
        }
        entries = {key: stored[key] for key in due}
        if self._mailer.at_once is not None:
            await self._notifications.save([(k, entries[k], n) for k, n in claimed.items()])
            entries = {key: _saved(entries[key], claimed[key]) for key in due}
        messages = [
            Message(one.message_id, one.recipient, _order(due[key]), due[key].time)
            for key, one in claimed.items()
        ]
        deliveries = dict(zip(claimed, await session.send(messages), strict=True))
        now = timestamp(self._clock())
        settled = {
            key: domain.settle(
                notification, deliveries[key], deferrals_most=self._deferrals_most, now=now
            )
            for key, notification in claimed.items()
        }
        await self._notifications.save(
            [(key, entries[key], n) for key, n in settled.items() if n is not claimed[key]]
        )
        for delivery in deliveries.values():
            if delivery.answer is Answer.UNKNOWN:
                raise MailUnavailableError(delivery.reason or "the mail server failed")
        return settled

    async def _recipients(self, due: Ends) -> dict[str, Recipient]:
        """Whom each notification is for: one query, whoever is not in the directory apart."""
        users = {key: _order(event).user_id for key, event in due.items()}
        wanted = {"_id": {"$in": list(dict.fromkeys(users.values()))}}
        with translated():
            found = {user["_id"]: user async for user in self._users.find(wanted)}

        def recipient(user_id: str) -> Recipient:
            if user_id not in found:
                return Recipient(placeholder(user_id, self._unknown_domain))
            return Recipient(found[user_id]["email"], found[user_id].get("name"))

        return {key: recipient(user_id) for key, user_id in users.items()}


def _order(event: Event) -> OrderConfirmed | OrderCancelled:
    assert isinstance(event.data, OrderConfirmed | OrderCancelled)
    return event.data


def _saved(entry: Stored[Notification], state: Notification) -> Stored[Notification]:
    """The state as it is stored now. Not loaded again: somebody else's later claim must be a
    conflict, and not be taken for ours."""
    document = {**(entry.document or {}), **repositories.encode_notification(state)}
    return Stored(state, entry.version + 1, document)
