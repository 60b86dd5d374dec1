import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.tracing import SANE_ID, new_trace, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_valid_traceparent_is_continued() -> None:
    assert (TRACE, f"00-{TRACE}-{SPAN}-01") == parse_traceparent(f"00-{TRACE}-{SPAN}-01")


def test_a_later_version_is_continued_as_the_first() -> None:
    assert (TRACE, f"00-{TRACE}-{SPAN}-01") == parse_traceparent(f"cc-{TRACE}-{SPAN}-01-more")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_a_traceparent_that_is_not_valid_is_ignored(header: str | None) -> None:
    assert parse_traceparent(header) is None


@given(st.none() | st.text(), st.none() | st.text())
def test_a_trace_is_always_sane(trace_id: str | None, traceparent: str | None) -> None:
    trace = new_trace(trace_id, traceparent)

    assert SANE_ID.fullmatch(trace.id)
    assert parse_traceparent(trace.traceparent) is not None


def test_a_trace_id_that_fits_becomes_the_events_trace() -> None:
    assert TRACE == new_trace(TRACE, None).traceparent.split("-")[1]
