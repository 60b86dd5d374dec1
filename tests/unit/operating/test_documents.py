"""What an operator is shown of records that may hold anything."""

import json
from itertools import pairwise
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from app.operating.catalogue import Kind, registry
from app.operating.documents import headers_document, key_document, time_of, value_document
from app.operating.letterbox import TOPICS
from app.operating.reading import spans_of
from app.settings import Settings
from app.topics import MOVIE_EVENTS, MOVIE_VIEWS, ORDER, USER_ACTIONS, plans
from app.web.operating import bounds_in, text_of


def told(value: bytes | None, *, whole: bool = True) -> Any:
    return json.loads(orjson.dumps(value_document(value, whole=whole)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b'{"a": [1.50, null]}', {"a": [1.5, None]}),
        (b"18446744073709551616123", 18446744073709551616123),
        (b"not an order", {"base64": "bm90IGFuIG9yZGVy", "text": "not an order"}),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"", {"base64": "", "text": ""}),
        (b"[" * 2000 + b"]" * 2000, {"base64": ...}),
    ],
)
def test_a_value_is_json_or_base64_with_its_text(value: bytes | None, expected: Any) -> None:
    shown = told(value)

    if isinstance(expected, dict) and expected.get("base64") is ...:
        assert "base64" in shown
    else:
        assert expected == shown


def test_the_beginning_of_a_value_is_no_json_and_ends_between_characters() -> None:
    assert {"base64": "MTI=", "text": "12"} == told(b"12", whole=False)
    assert "caf" == told("café".encode()[:4], whole=False)["text"]
    assert "text" not in told(b"\xff\xfe", whole=False)


@given(value=st.binary(max_size=50), whole=st.booleans(), at=st.integers(-(2**63), 2**63 - 1))
def test_whatever_is_in_a_record_can_be_shown(value: bytes, whole: bool, at: int) -> None:
    document = [
        value_document(value, whole=whole),
        key_document(value),
        headers_document([("name", value), ("none", None)]),
        time_of(at),
    ]

    assert 4 == len(json.loads(orjson.dumps(document)))


def test_every_topic_of_the_system_is_described() -> None:
    settings = Settings()
    described = registry(settings)

    assert {plan.name for plan in plans(settings)} == set(described)
    assert ("orderId", ORDER.dead_letters) == (
        described[ORDER.name].key,
        described[ORDER.name].dead_letters,
    )
    assert ["movieId", "movieId", "userId"] == [
        described[spec.name].key for spec in (MOVIE_VIEWS, MOVIE_EVENTS, USER_ACTIONS)
    ]
    assert Kind.INPUT is described[MOVIE_VIEWS.name].kind


@given(
    offsets=st.sets(st.integers(0, 500), max_size=30),
    gap=st.integers(0, 50),
)
def test_spans_hold_all_offsets_in_order_and_little_else(offsets: set[int], gap: int) -> None:
    spans = spans_of(offsets, gap=gap)

    assert offsets <= {offset for span in spans for offset in span}
    assert all(one.stop + gap < other.start for one, other in pairwise(spans))
    assert all({span.start, span.stop - 1} <= offsets for span in spans)


@given(
    bounds=st.dictionaries(
        st.builds(TopicPartition, st.sampled_from(TOPICS), st.integers(0, 999)),
        st.integers(0, 10**18 - 1),
        max_size=20,
    )
)
def test_a_cursor_of_letters_comes_back_as_it_was(bounds: dict[TopicPartition, int]) -> None:
    assert bounds == bounds_in(text_of(bounds))
