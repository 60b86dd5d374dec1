from base64 import urlsafe_b64encode
from hashlib import blake2b

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.web.cursors import cursor_of, encode
from app.web.problems import ProblemError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
POSITION = ("2026-01-31T12:00:00.000000Z", "0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10")


def refused(given: str, parts: int = 2) -> None:
    with pytest.raises(ProblemError) as problem:
        cursor_of({"cursor": given}, "orders", parts)
    assert 400 == problem.value.status


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(texts, texts)
def test_a_cursor_leads_back_to_its_position(first: str, second: str) -> None:
    cursor = encode("orders", first, second)

    assert (first, second) == cursor_of({"cursor": cursor}, "orders", 2)
    assert set(cursor) <= set(ALPHABET)


def test_no_cursor_is_the_beginning() -> None:
    assert cursor_of({}, "orders", 2) is None
    assert cursor_of({"cursor": ""}, "orders", 2) is None


def test_a_cursor_with_any_one_character_changed_left_out_or_added_is_refused() -> None:
    cursor = encode("orders", *POSITION)
    for at, was in enumerate(cursor):
        for other in "Aa0_-=.é":
            if other != was:
                refused(cursor[:at] + other + cursor[at + 1 :])
        refused(cursor[:at] + cursor[at + 1 :])
        refused(cursor[:at] + "A" + cursor[at:])


@given(st.text(max_size=200))
@example("A" * 2000)
@example("%00")
def test_whatever_else_is_refused(given: str) -> None:
    if given:
        refused(given)


def test_another_lists_cursor_is_refused() -> None:
    refused(encode("users", *POSITION))
    refused(encode("orders", "alone"))


@pytest.mark.parametrize("content", [{}, [1, 2], ["a", None], "ab", [["a"], "b"]])
def test_a_forged_cursor_is_refused_where_it_is_no_position(content: object) -> None:
    raw = orjson.dumps(content)
    digest = blake2b(raw, digest_size=6, person=b"orders").digest()

    refused(urlsafe_b64encode(digest + raw).rstrip(b"=").decode())
