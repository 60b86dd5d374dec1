"""The message: both forms tell the same, and no client's words break out of their place."""

from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.notification import Recipient
from app.events import Item, MovieMilestoneReached, OrderCancelled, OrderConfirmed, timestamp
from app.notifications.message import (
    ITEMS_SHOWN,
    REASONS,
    TEMPLATES,
    Message,
    domain_of,
    mime,
    placeholder,
    render,
    require_address,
)
from tests.builders import START, data, order, order_id, view_data

SENDER = "Orderflow <orders@shop.example>"
AT = timestamp(START)


def message(
    kind: str = "OrderConfirmed",
    *,
    recipient: Recipient | None = None,
    reason: str | None = None,
    **changed: object,
) -> Message:
    told = data(kind, order({"apple": 2, "pear": 1}), reason=reason).model_copy(update=changed)
    assert isinstance(told, OrderConfirmed | OrderCancelled)
    to = recipient or Recipient("alice@example.com", "Alice")
    return Message("<1.confirmed@shop.example>", to, told, AT)


def milestone_message(movie: str, views: int = 10) -> Message:
    told = view_data("MovieMilestoneReached", views).model_copy(update={"movie_id": movie})
    assert isinstance(told, MovieMilestoneReached)
    return Message("<1.milestone@shop.example>", Recipient("catalogue@example.com"), told, AT)


def sent(one: Message) -> EmailMessage:
    parsed = message_from_bytes(mime(one, SENDER), policy=default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def parts(one: Message) -> tuple[str, str]:
    mail = sent(one)
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def tags(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    parser.close()
    return parser


def test_a_confirmation_names_the_order_its_items_and_its_total_in_both_parts() -> None:
    for part in parts(message()):
        for words in ("Hello Alice", order_id(1), "confirmed", "apple", "pear", "2.55", "7.65"):
            assert words in part


@pytest.mark.parametrize(("reason", "words"), [*REASONS.items(), ("WEATHER", "WEATHER")])
def test_a_cancellation_says_why_in_words(reason: str, words: str) -> None:
    for part in parts(message("OrderCancelled", reason=reason)):
        assert f"is cancelled: {words}" in part or f"</strong> is cancelled: {words}" in part


def test_the_headers_say_who_to_whom_when_and_that_no_machine_need_answer() -> None:
    mail = sent(message())

    assert "<1.confirmed@shop.example>" == mail["Message-ID"]
    assert "Orderflow <orders@shop.example>" == mail["From"]
    assert "Alice <alice@example.com>" == mail["To"]
    assert f"Your order {order_id(1)} is confirmed" == mail["Subject"]
    assert "Fri, 09 Dec 2011 12:50:00 +0000" == mail["Date"]
    assert "auto-generated" == mail["Auto-Submitted"]


def test_the_trace_that_led_to_it_is_in_a_header() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    assert trace == sent(replace(message(), trace_id=trace))["X-Trace-Id"]
    assert sent(message())["X-Trace-Id"] is None


def test_sent_again_it_is_the_same_to_the_last_byte() -> None:
    assert mime(message(), SENDER) == mime(message(), SENDER)


def test_a_long_order_shows_its_first_items_and_says_how_many_there_are_besides() -> None:
    many = tuple(Item(product_id=f"p{n}", quantity=1, price=1.0) for n in range(2000))

    for part in parts(message(items=many)):
        assert f"p{ITEMS_SHOWN - 1}" in part
        assert f"p{ITEMS_SHOWN}" not in part
        assert f"and {2000 - ITEMS_SHOWN} more" in part


HOSTILE = [
    "Eve\r\nBcc: all@example.com",
    "Eve\nSubject: won",
    "Eve\r\n\r\n<h1>body</h1>",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$total ${name} $$",
    "Eve\u2028\u2029\x0b\x0c\x1c\x85x",
    "=?utf-8?q?=0D=0ABcc=3A_all=40example=2Ecom?=",
    "Zoë 😀 " + "long " * 200,
    "\x00",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_a_name_adds_no_header_no_line_and_no_tag(words: str) -> None:
    plain, hostile = sent(message()), sent(message(recipient=Recipient("eve@example.com", words)))

    assert plain.keys() == hostile.keys()
    assert ["eve@example.com"] == [to.addr_spec for to in hostile["To"].addresses]
    assert plain["Subject"] == hostile["Subject"]
    one, other = (
        render(message(recipient=Recipient("eve@example.com", name))) for name in ("Eve", words)
    )
    assert len(one.text.splitlines()) == len(other.text.splitlines())
    assert tags(one.html).tags == tags(other.html).tags


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=120)
    | st.lists(
        st.sampled_from(["=?utf-8?q?", "=0D=0A", "?=", "=", "?", " ", "é", "a", ":", "\r\n"])
    ).map("".join)
)
def test_no_name_makes_a_header(name: str) -> None:
    hostile = sent(message(recipient=Recipient("eve@example.com", name)))

    assert sent(message()).keys() == hostile.keys()
    assert ["eve@example.com"] == [to.addr_spec for to in hostile["To"].addresses]


@settings(max_examples=300, deadline=None)
@given(
    product=st.text(min_size=1, max_size=64) | st.sampled_from(HOSTILE),
    user=st.text(min_size=1, max_size=128) | st.sampled_from(HOSTILE),
    reason=st.text(max_size=50) | st.sampled_from(HOSTILE),
)
def test_no_words_of_a_client_change_the_shape_of_a_message(
    product: str, user: str, reason: str
) -> None:
    def shape(product: str, user: str, reason: str) -> tuple[int, list[str]]:
        items = (Item.model_construct(product_id=product, quantity=1, price=100),)
        nameless = Recipient(placeholder(user, "customers.invalid"))
        one = message(
            "OrderCancelled", reason=reason, recipient=nameless, items=items, user_id=user
        )
        rendered = render(one)
        assert ["cancelled"] == [w for w in sent(one)["Subject"].split() if w == "cancelled"]
        return len(rendered.text.splitlines()), tags(rendered.html).tags

    assert shape("apple", "alice", "TIMEOUT") == shape(product, user, reason)


def test_what_is_escaped_in_html_is_read_as_it_was_written() -> None:
    items = (Item.model_construct(product_id="<b> & \"c\" 'd' $x", quantity=1, price=100),)

    assert "<b> & \"c\" 'd' $x" in tags(render(message(items=items)).html).words


@pytest.mark.parametrize(
    "address",
    [
        "",
        "alice",
        "alice@",
        "@example.com",
        "a b@example.com",
        "a@b@example.com",
        "alice@example.com\r\nBcc: all@example.com",
        "alice@example.com>\r\nRCPT TO:<all@example.com",
        "alice@example.com, bob@example.com",
        "<alice@example.com>",
        '"a b"@example.com',
        "=?utf-8?q?=0D=0ABcc=3A_all?=@example.com",
        ".alice@example.com",
        "zoë@example.com",
        "alice@exämple.com",
        "alice@[127.0.0.1]",
        f"{'a' * 65}@example.com",
        f"a@{'b.' * 150}com",
    ],
)
def test_an_address_that_is_none_is_refused_before_any_server_hears_of_it(address: str) -> None:
    with pytest.raises(ValueError, match="no address that mail can be sent to"):
        require_address(address)
    with pytest.raises(ValueError, match="no address"):
        mime(message(recipient=Recipient(address)), SENDER)


@settings(max_examples=500, deadline=None)
@given(st.text(min_size=1, max_size=128) | st.sampled_from(HOSTILE))
def test_every_user_has_an_address_even_one_who_is_in_no_directory(user_id: str) -> None:
    address = placeholder(user_id, "customers.invalid")

    assert require_address(address) == address
    assert "customers.invalid" == domain_of(address)


def test_a_plain_user_id_is_its_own_address() -> None:
    assert "alice.b+c@customers.invalid" == placeholder("alice.b+c", "customers.invalid")
    assert placeholder("a b", "x.invalid") != placeholder("a\tb", "x.invalid")


def test_a_milestone_names_the_movie_and_its_views_in_both_parts() -> None:
    for views, words in ((1, "1 view"), (1000, "1,000 views")):
        one = milestone_message("Alien 3", views)
        assert f"Movie Alien 3 has {words}" == sent(one)["Subject"]
        for part in parts(one):
            for expected in ("Hello there", "Alien 3", words, "Fri, 09 Dec 2011 12:50:00"):
                assert expected in part


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=1, max_size=64) | st.sampled_from(HOSTILE))
def test_no_movie_changes_the_shape_of_a_message(movie: str) -> None:
    plain, hostile = milestone_message("alien"), milestone_message(movie)

    assert sent(plain).keys() == sent(hostile).keys()
    assert sent(hostile)["Subject"].startswith("Movie")
    one, other = render(plain), render(hostile)
    assert len(one.text.splitlines()) == len(other.text.splitlines())
    assert tags(one.html).tags == tags(other.html).tags


def test_every_template_is_there() -> None:
    kinds = {
        f"{name}.{kind}"
        for name in ("confirmed", "cancelled", "item", "milestone")
        for kind in ("txt", "html")
    }
    assert kinds == {file.name for file in TEMPLATES.iterdir()}
