"""What the settings say of mail, and what they refuse."""

import pytest
from pydantic import ValidationError

from app.agents.registry import build_mailer
from app.notifications.log import LogMailer
from app.notifications.smtp import MESSAGES_A_CONNECTION, SmtpMailer
from app.settings import Settings


def test_without_an_address_notifications_are_lines_of_the_log() -> None:
    assert isinstance(build_mailer(Settings()), LogMailer)


def test_with_an_address_they_are_mail() -> None:
    mailer = build_mailer(Settings(smtp_url="smtp://mail.example:2525", smtp_connections=3))

    assert isinstance(mailer, SmtpMailer)
    assert 3 * MESSAGES_A_CONNECTION == mailer.at_once


@pytest.mark.parametrize(
    "url",
    [
        "mail.example:25",
        "http://mail.example",
        "smtp://",
        "smtp://:25",
        "smtp://mail.example/folder",
        "smtp://mail.example:port",
        "smtp://mail.example:99999",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(smtp_url=url)

    (error,) = refused.value.errors()
    assert "SMTP_URL must be smtp://host:port" in error["msg"]


@pytest.mark.parametrize("sender", ["", "Shop", "Shop <shop>", "a@b.example\r\nBcc: c@d.example"])
def test_a_sender_without_an_address_is_refused(sender: str) -> None:
    with pytest.raises(ValidationError, match="SMTP_FROM must be an address"):
        Settings(smtp_from=sender)


def test_a_message_under_way_must_end_before_partitions_move() -> None:
    with pytest.raises(ValidationError, match="SMTP_TIMEOUT_SECONDS must be below"):
        Settings(smtp_timeout_seconds=15.0)


@pytest.mark.parametrize("domain", ["", "a b", "x.invalid\r\n", "a@b", ".invalid"])
def test_a_domain_that_is_none_is_refused(domain: str) -> None:
    with pytest.raises(ValidationError, match="smtp_unknown_domain"):
        Settings(smtp_unknown_domain=domain)
