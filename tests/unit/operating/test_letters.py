"""A dead letter, from what the participant loop writes to what is sent again."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.operating.letters import Letter, Place, UnreplayableError, letter_of, place_of
from app.streaming.dead_letters import DeadLetter
from app.streaming.fetching import without_content
from app.streaming.publisher import OutRecord
from app.topics import ORDER

DLQ = ORDER.dead_letters
ORIGINAL = SimpleNamespace(
    topic=ORDER.name,
    partition=2,
    offset=15,
    timestamp=1_700_000_000_000,
    key=b"825c73c6-9624-5263-ae7d-10ab655ee73f",
    value=b'{"a":1}',
    headers=(("ce_id", b"1"), ("ce_type", b"OrderPlaced"), ("traceparent", b"00-1")),
)


def in_topic(sent: OutRecord, offset: int = 7) -> Any:
    """The record as it is read from the dead-letter topic."""
    return SimpleNamespace(
        topic=sent.topic,
        partition=sent.partition,
        offset=offset,
        timestamp=1_700_000_001_000,
        key=sent.key,
        value=sent.value,
        headers=tuple(sent.headers),
    )


def buried(original: Any = ORIGINAL, group: str = "orders-payment", offset: int = 7) -> Letter:
    return letter_of(in_topic(DeadLetter(original, "unprocessable", "a b", group).out(), offset))


def test_a_letter_says_what_happened_where_and_to_whom() -> None:
    letter = buried()

    assert f"{DLQ}-2-7" == letter.id
    assert ORDER.name == letter.topic
    assert ("unprocessable", "a b", "orders-payment") == (
        letter.reason,
        letter.detail,
        letter.group,
    )
    assert Place(ORDER.name, 2, 15) == letter.original


BYTES = st.none() | st.binary(max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
    ["dlq-reason", "dlq-topic", "ce_id"]
)


@given(
    key=BYTES,
    value=BYTES,
    headers=st.lists(st.tuples(NAMES, st.binary(max_size=10)), max_size=4),
)
def test_what_is_sent_again_is_the_original_whatever_that_is(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    record = SimpleNamespace(
        **{**vars(ORIGINAL), "key": key, "value": value, "headers": tuple(headers)}
    )
    letter = buried(record)

    if key is None and value is None:
        with pytest.raises(UnreplayableError, match="neither"):
            letter.again()
    else:
        assert OutRecord(ORDER.name, key, value, headers, 2) == letter.again()


def test_a_letter_without_content_says_where_the_original_lies() -> None:
    sent = DeadLetter(ORIGINAL, "unprocessable", "too large", "orders-payment").without_content()
    letter = letter_of(in_topic(sent))

    assert letter.without_content
    assert Place(ORDER.name, 2, 15) == letter.original
    with pytest.raises(UnreplayableError, match="without its content"):
        letter.again()


def test_what_the_client_could_not_read_is_not_sent_again() -> None:
    unread = without_content(SimpleNamespace(topic=ORDER.name, partition=2), 15)
    letter = buried(unread)

    with pytest.raises(UnreplayableError, match="not UTF-8"):
        letter.again()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("dlq-reason", b"x"),),
        (
            ("dlq-reason", b"x"),
            ("dlq-topic", b"payment.events.v1"),
            ("dlq-partition", b"0"),
            ("dlq-offset", b"0"),
        ),
        (("dlq-reason", b"x"), ("dlq-topic", ORDER.name.encode()), ("dlq-partition", b"-1")),
    ],
)
def test_what_somebody_else_put_there_is_shown_and_goes_to_no_other_topic(
    headers: tuple[tuple[str, bytes], ...],
) -> None:
    letter = letter_of(in_topic(OutRecord(DLQ, b"k", b"v", list(headers), 0)))

    assert b"v" == letter.value
    with pytest.raises(UnreplayableError, match="does not say where"):
        letter.again()


def test_letters_of_the_same_content_are_known_as_such() -> None:
    again = SimpleNamespace(**{**vars(ORIGINAL), "offset": 99})

    assert buried().identity == buried(again, offset=8).identity
    assert buried().identity != buried(group="orders-order").identity
    assert buried().identity != replace(buried(), value=b"").identity
    assert replace(buried(), value=None).identity != replace(buried(), value=b"").identity
    assert replace(buried(), key=b"ab", value=b"c").identity != (
        replace(buried(), key=b"a", value=b"bc").identity
    )


@pytest.mark.parametrize(
    ("letter_id", "expected"),
    [
        (f"{DLQ}-2-15", Place(DLQ, 2, 15)),
        ("a-topic.dlq-0-0", Place("a-topic.dlq", 0, 0)),
        (f"{DLQ}-02-15", None),
        (f"{DLQ}-2-", None),
        (f"{DLQ}-2-99999999999999999999", None),
        (DLQ, None),
        ("", None),
        ("\n-1-1", None),
    ],
)
def test_an_id_is_a_place_or_none(letter_id: str, expected: Place | None) -> None:
    assert expected == place_of(letter_id)
