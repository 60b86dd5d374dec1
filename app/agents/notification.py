"""Notification service: tells who ordered how the order ended, once an order and outcome; and the
user of `MOVIE_MILESTONE_TO` that a movie reached a milestone, once a movie and milestone.

Consumes: order.events.v1 (OrderConfirmed, OrderCancelled), key: order id; movie.events.v1
(MovieMilestoneReached), key: movie id. Produces: notification.events.v1.
Stores: notifications, one document an order and outcome, or a movie and milestone.
Compensates: nothing; it is told ends, and what was sent can't be taken back.

A mail server can't be asked whether it has a message, so a message is claimed before it is sent
and settled after. A crash between the two leaves it claimed, and it is sent again under the same
Message-ID: never lost, and a repetition is known as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.agents.folding import outgoing
from app.domain import notification as domain
from app.domain.notification import Answer, Notification, NotificationStatus, Occasion, Recipient
from app.events import Event, MovieMilestoneReached, OrderCancelled, OrderConfirmed, timestamp
from app.notifications import Mailer, MailUnavailableError, Session
from app.notifications.message import Message, Telling, domain_of, placeholder
from app.resources import Resources
from app.stores import repositories
from app.stores.mongo import Stored, translated
from app.streaming import OutRecord
from app.telemetry.context import trace_id_of
from app.topics import BY_EVENT

TOLD = (OrderConfirmed, OrderCancelled, MovieMilestoneReached)


@dataclass(frozen=True, slots=True)
class Due:
    """An event, and what it gives occasion to tell."""

    event: Event
    about: Occasion

    @property
    def telling(self) -> Telling:
        """The event's data."""
        assert isinstance(self.event.data, TOLD)
        return self.event.data


Dues = Mapping[str, Due]
"""What is to be told, by the keys of the notifications."""


class NotificationService:
    """Sends through a channel, and notes what was sent."""

    def __init__(self, resources: Resources, mailer: Mailer) -> None:
        settings = resources.settings
        self._clock = resources.clock
        self._mailer = mailer
        self._deferrals_most = settings.smtp_attempts
        self._sender_domain = domain_of(settings.smtp_from)
        self._unknown_domain = settings.smtp_unknown_domain
        self._milestones_to = settings.movie_milestone_to
        self._notifications = repositories.notifications(resources.database)
        self._users = resources.database[repositories.USERS]

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of the ends of orders and of the milestones of movies."""
        return tuple(dict.fromkeys(BY_EVENT[event.__name__].name for event in TOLD))

    async def handle(self, events: Sequence[Event]) -> list[OutRecord]:
        """Send what is due, and say so; what was sent before is said again and not sent again.

        Raises:
            MailUnavailableError: not everything could be sent now. What could is noted.
        """
        told = [Due(event, about) for event in events if (about := domain.occasion(event))]
        all_told: Dues = {one.about.key: one for one in told}
        stored = await self._notifications.load(all_told)
        due = {key: one for key, one in all_told.items() if domain.is_due(stored[key].state)}
        over = {key: entry.state for key, entry in stored.items() if key not in due and entry.state}
        if due:
            over |= await self._send(due, stored)
        return outgoing(
            said for one in told for said in domain.said(over[one.about.key], one.event)
        )

    async def _send(
        self, due: Dues, stored: Mapping[str, Stored[Notification]]
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
        due: Dues,
        stored: Mapping[str, Stored[Notification]],
        recipients: Mapping[str, Recipient],
    ) -> dict[str, Notification]:
        """Claim, send, settle."""
        now = timestamp(self._clock())
        claimed = {
            key: domain.claim(
                stored[key].state,
                one.about,
                recipient=recipients[key],
                channel=self._mailer.channel,
                domain=self._sender_domain,
                now=now,
            )
            for key, one in due.items()
        }
        entries = {key: stored[key] for key in due}
        if self._mailer.at_once is not None:
            await self._notifications.save([(k, entries[k], n) for k, n in claimed.items()])
            entries = {key: _saved(entries[key], claimed[key]) for key in due}
        messages = [
            Message(
                one.message_id,
                one.recipient,
                due[key].telling,
                due[key].event.time,
                trace_id_of(due[key].event.traceparent),
            )
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

    async def _recipients(self, due: Dues) -> dict[str, Recipient]:
        """Whom each notification is for: one query, whoever is not in the directory apart."""
        users = {key: self._user_of(one.telling) for key, one in due.items()}
        wanted = {"_id": {"$in": list(dict.fromkeys(users.values()))}}
        with translated():
            found = {user["_id"]: user async for user in self._users.find(wanted)}

        def recipient(user_id: str) -> Recipient:
            if user_id not in found:
                return Recipient(placeholder(user_id, self._unknown_domain))
            return Recipient(found[user_id]["email"], found[user_id].get("name"))

        return {key: recipient(user_id) for key, user_id in users.items()}

    def _user_of(self, telling: Telling) -> str:
        if isinstance(telling, MovieMilestoneReached):
            return self._milestones_to
        return telling.user_id


def _saved(entry: Stored[Notification], state: Notification) -> Stored[Notification]:
    """The state as it is stored now. Not loaded again: somebody else's later claim must be a
    conflict, and not be taken for ours."""
    document = {**(entry.document or {}), **repositories.encode_notification(state)}
    return Stored(state, entry.version + 1, document)
