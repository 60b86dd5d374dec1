"""The message about an order's end or a movie's milestone: templates, filled in so that no text
breaks out of its place.

A user's id, name and address, a product's id and a movie's are the clients' own words. In a header
they are one line of printable characters, in HTML they are escaped, in the text part they are one
line.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

from app.domain.notification import Recipient
from app.events import MovieMilestoneReached, OrderCancelled, OrderConfirmed
from app.money import text as money

TEMPLATES = Path(__file__).parent / "templates"
# A message that lists 2,000 items helps nobody.
ITEMS_SHOWN = 50
NAME_MAX_CHARACTERS = 60
# Who has no name is greeted so.
NOBODY = "there"
# RFC 5321, 4.5.3.1: a mailbox's local part, and a path without its brackets.
LOCAL_MAX_CHARACTERS = 64
ADDRESS_MAX_CHARACTERS = 254
# An atom of RFC 5322 without its question mark, which makes encoded words (RFC 2047).
ATOM = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+"
LOCAL_PART = re.compile(rf"{ATOM}(\.{ATOM})*")
DOMAIN = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")

# As in answers over HTTP: who asks about a message can be told all that led to it.
TRACE_ID = "X-Trace-Id"

REASONS = {
    "OUT_OF_STOCK": "an item is out of stock",
    "UNKNOWN_PRODUCT": "we do not have one of its items",
    "PAYMENT_FAILED": "the payment was declined",
    "CANCELLED_BY_USER": "you cancelled it",
    "TIMEOUT": "it took us too long",
}


Telling = OrderConfirmed | OrderCancelled | MovieMilestoneReached
"""What can be told."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message before its templates are filled in.

    Attributes:
        at: when it happened, ISO 8601.
        trace_id: of the request that led to it.
    """

    id: str
    recipient: Recipient
    telling: Telling
    at: str
    trace_id: str | None = None

    @property
    def subject(self) -> str:
        """One line."""
        match self.telling:
            case OrderConfirmed(order_id=order_id):
                return f"Your order {order_id} is confirmed"
            case OrderCancelled(order_id=order_id):
                return f"Your order {order_id} is cancelled"
            case MovieMilestoneReached(movie_id=movie_id, milestone=views):
                return f"Movie {phrase(movie_id)} has {counted(views)}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message's two forms."""

    text: str
    html: str


def render(message: Message) -> Rendered:
    """Fill in the templates."""
    if isinstance(message.telling, MovieMilestoneReached):
        return _milestone(message, message.telling)
    return _order(message, message.telling)


def _milestone(message: Message, reached: MovieMilestoneReached) -> Rendered:
    fields = {
        "subject": message.subject,
        "name": one_line(message.recipient.name or "")[:NAME_MAX_CHARACTERS] or NOBODY,
        "movie": one_line(reached.movie_id),
        "views": counted(reached.milestone),
        "at": format_datetime(reached.viewed_at),
    }
    return Rendered(
        text=template("milestone.txt").substitute(fields),
        html=template("milestone.html").substitute(
            {field: escape(value) for field, value in fields.items()}
        ),
    )


def _order(message: Message, order: OrderConfirmed | OrderCancelled) -> Rendered:
    confirmed = isinstance(order, OrderConfirmed)
    name = "confirmed" if confirmed else "cancelled"
    fields = {
        "subject": message.subject,
        "name": one_line(message.recipient.name or order.user_id)[:NAME_MAX_CHARACTERS],
        "order_id": order.order_id,
        "total": money(order.total),
        "reason": "" if isinstance(order, OrderConfirmed) else explained(order.reason),
    }
    lines = [
        {
            "product": one_line(item.product_id),
            "quantity": str(item.quantity),
            "price": money(item.price),
        }
        for item in order.items[:ITEMS_SHOWN]
    ]
    more = len(order.items) - len(lines)
    rest = f"and {more} more" if more else ""
    row = template("item.html")
    return Rendered(
        text=template(f"{name}.txt").substitute(
            fields,
            items="\n".join(
                [
                    *(template("item.txt").substitute(line).rstrip("\n") for line in lines),
                    *([f"  {rest}"] if rest else []),
                ]
            ),
        ),
        html=template(f"{name}.html").substitute(
            {field: escape(value) for field, value in fields.items()},
            items="".join(
                row.substitute({field: escape(value) for field, value in line.items()})
                for line in lines
            ),
            rest=rest,
        ),
    )


def mime(message: Message, sender: str) -> bytes:
    """The message as it travels (RFC 5322): the same bytes whenever it is sent.

    Raises:
        ValueError: the recipient is none that mail can be sent to.
    """
    rendered = render(message)
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    mail["Message-ID"] = message.id
    mail["Date"] = format_datetime(datetime.fromisoformat(message.at))
    mail["From"] = _mailbox(*reversed(parseaddr(sender)))
    mail["To"] = _mailbox(message.recipient.address, message.recipient.name)
    mail["Subject"] = message.subject
    # RFC 3834: no answering machine need answer.
    mail["Auto-Submitted"] = "auto-generated"
    if message.trace_id is not None:
        mail[TRACE_ID] = message.trace_id
    mail.set_content(rendered.text, cte="quoted-printable")
    mail.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    mail.set_boundary(f"=_{sha256(message.id.encode()).hexdigest()[:32]}")
    content = mail.as_bytes()
    _require_headers(content, len(mail))
    return content


def _mailbox(address: str, name: str | None) -> Address:
    local, _, domain = require_address(address).rpartition("@")
    return Address(display_name=phrase(name or ""), username=local, domain=domain)


def _require_headers(content: bytes, count: int) -> None:
    """The headers are those that were set: nothing broke out of one."""
    lines = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    broken = any(b"\r" in line or b"\n" in line for line in lines)
    if broken or count != sum(not line.startswith((b" ", b"\t")) for line in lines):
        raise ValueError("a header that was not set")


def require_address(address: str) -> str:
    """The address, if mail can be sent to it: ASCII, no quoting, no comments.

    Raises:
        ValueError: it can't.
    """
    local, _, domain = address.rpartition("@")
    if (
        len(address) > ADDRESS_MAX_CHARACTERS
        or len(local) > LOCAL_MAX_CHARACTERS
        or not LOCAL_PART.fullmatch(local)
        or not DOMAIN.fullmatch(domain)
    ):
        raise ValueError(f"{address!r} is no address that mail can be sent to")
    return address


def domain_of(mailbox: str) -> str:
    """The domain of an address, with or without a name before it."""
    return parseaddr(mailbox)[1].rpartition("@")[2]


def placeholder(user_id: str, domain: str) -> str:
    """The address of a user who is not in the directory."""
    if len(user_id) <= LOCAL_MAX_CHARACTERS and LOCAL_PART.fullmatch(user_id):
        return f"{user_id}@{domain}"
    return f"user-{sha256(user_id.encode()).hexdigest()[:16]}@{domain}"


def phrase(name: str) -> str:
    """A name as a header may have it: letters, marks, digits, and what stands between them.

    Python's own writer of headers can't be left to quote the rest: it decodes an encoded word (RFC
    2047) that stands in a name, line ends and all, and breaks long quoted names in two.
    """
    kept = (c if unicodedata.category(c)[0] in "LMN" or c in "'-." else " " for c in name)
    return " ".join("".join(kept).split())[:NAME_MAX_CHARACTERS].strip()


def counted(views: int) -> str:
    """So many views."""
    return f"{views:,} view{'' if views == 1 else 's'}"


def explained(reason: str) -> str:
    """A cancel reason in words."""
    return REASONS.get(reason) or one_line(reason)


def one_line(words: str) -> str:
    """The words without what could end a line or hide in it."""
    return "".join(c if c.isprintable() else " " for c in words).strip()


@cache
def template(name: str) -> Template:
    """A template, read once."""
    return Template((TEMPLATES / name).read_text(encoding="utf-8"))
