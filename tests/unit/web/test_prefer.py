import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.prefer import preferences, wait_seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], 0),
        (["wait=5"], 5),
        (["Wait = 5"], 5),
        (['wait="5"'], 5),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10"], 10),
        (["respond-async; foo=bar; baz, , wait=10; strict"], 10),
        (['note="a, wait=3; \\" b", wait=10'], 10),
        (["wait=10, wait=20"], 10),
        (["wait=600"], 60),
        (["wait=" + "9" * 6000], 60),
        (["wait=0"], 0),
        (["wait=-5"], 0),
        (["wait=1.5"], 0),
        (["wait=soon"], 0),
        (["wait"], 0),
        (["wait=5 6"], 0),
        (['wait="5'], 0),
        (["=5, wait=5"], 0),
        (["wait=²"], 0),
    ],
)
def test_seconds_to_wait_are_read_as_rfc_7240_says(headers: list[str], seconds: float) -> None:
    assert seconds == wait_seconds(headers, 60.0)


@given(st.text(), st.floats(min_value=0, max_value=1e6))
def test_no_header_breaks_the_parser(header: str, longest: float) -> None:
    assert 0 <= wait_seconds([header], longest) <= longest


token = st.text("abcxyzABC019-_.!", min_size=1, max_size=8)


@given(st.lists(st.tuples(token, token)))
def test_what_is_written_is_read(pairs: list[tuple[str, str]]) -> None:
    assert pairs == preferences(" ,".join(f"{name} ={value}; p=1" for name, value in pairs))
