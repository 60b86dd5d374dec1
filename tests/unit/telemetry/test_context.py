"""Places in a trace."""

import pytest

from app.telemetry.context import Place, of_headers, parse, sampler, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_place_is_read_and_written_as_the_standard_says() -> None:
    place = parse(HEADER)
    assert place is not None
    assert place.sampled
    assert HEADER == place.traceparent
    assert TRACE == trace_id_of(HEADER)
    assert place == of_headers([("a", b"1"), ("traceparent", HEADER.encode()), ("b", b"2")])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
    ],
)
def test_what_is_no_place_is_none(header: str | None) -> None:
    assert parse(header) is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", HEADER.encode() + b"\n"])
def test_a_records_header_may_be_anything(content: bytes) -> None:
    assert of_headers([("traceparent", content)]) is None


def test_what_is_done_again_has_the_span_of_the_first_time() -> None:
    place = parse(HEADER)
    assert place is not None
    again = place.child(b"handled payment 1")
    assert again == place.child(b"handled payment 1")
    others = [place.child(b"handled payment 2"), place.child(b"handled audit 1"), place]
    elsewhere = place._replace(span=place.span + 1).child(b"handled payment 1")
    assert 5 == len({again.span, elsewhere.span, *(other.span for other in others)})
    assert {place.trace} == {one.trace for one in (again, elsewhere, *others)}


KEPT, DROPPED = Place(1, 1, sampled=True), Place(1, 1, sampled=False)


@pytest.mark.parametrize(
    ("name", "of_kept", "of_dropped", "of_a_new_trace"),
    [
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, False, True),
        ("parentbased_always_off", True, False, False),
        ("parentbased_traceidratio", True, False, True),
        ("traceidratio", True, True, True),
    ],
)
def test_a_sampler_does_what_its_name_says(
    name: str, of_kept: bool, of_dropped: bool, of_a_new_trace: bool
) -> None:
    decide = sampler(name, 1.0)
    asked = (decide(KEPT, 1), decide(DROPPED, 1), decide(None, 1))
    assert (of_kept, of_dropped, of_a_new_trace) == asked


def test_a_ratio_keeps_that_share_and_the_same_traces_everywhere() -> None:
    traces = [n * 2**64 // 1000 for n in range(1000)]
    half, tenth = sampler("traceidratio", 0.5), sampler("parentbased_traceidratio", 0.1)
    assert 500 == sum(half(None, trace) for trace in traces)
    assert {t for t in traces if tenth(None, t)} < {t for t in traces if half(KEPT, t)}
    assert not any(sampler("traceidratio", 0.0)(None, trace) for trace in traces)
