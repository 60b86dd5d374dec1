import re

import pytest

from gateway.tracing import ORDER, new_trace

pytestmark = pytest.mark.timeout(60)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
MADE = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01")


def test_a_request_that_names_no_trace_starts_one() -> None:
    trace = new_trace(None, None)
    made = MADE.fullmatch(trace.traceparent)
    assert made is not None
    assert made[1] == trace.id
    assert not trace.continued


def test_no_two_requests_get_the_same_trace() -> None:
    assert 100 == len({new_trace(None, None).id for _ in range(100)})


def test_a_sane_trace_id_is_kept() -> None:
    assert "order-42.a:b_C" == new_trace("order-42.a:b_C", None).id


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "é", "x" * 129, '"', "{}"])
def test_a_trace_id_that_could_break_a_log_is_replaced(given: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", new_trace(given, None).id)


def test_a_trace_id_that_is_one_of_w3c_becomes_the_traceparents() -> None:
    trace = new_trace(TRACE, None)
    assert TRACE == trace.id
    assert trace.traceparent.startswith(f"00-{TRACE}-")


def test_a_valid_traceparent_is_continued_and_names_the_trace() -> None:
    trace = new_trace(None, PARENT)
    assert (TRACE, PARENT, True) == (trace.id, trace.traceparent, trace.continued)


def test_a_trace_id_and_a_traceparent_are_both_kept() -> None:
    trace = new_trace("mine", PARENT)
    assert ("mine", PARENT) == (trace.id, trace.traceparent)


def test_a_later_version_of_traceparent_may_say_more() -> None:
    later = f"01{PARENT[2:]}-more"
    assert later == new_trace(None, later).traceparent


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        PARENT.upper(),
        f"ff{PARENT[2:]}",
        f"{PARENT}-more",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{PARENT}\n",
    ],
)
def test_an_invalid_traceparent_is_replaced(given: str) -> None:
    trace = new_trace(None, given)
    assert MADE.fullmatch(trace.traceparent)
    assert given != trace.traceparent
    assert not trace.continued


@pytest.mark.parametrize("end", ["", "/cancel", "?x=1"])
def test_an_order_is_known_by_its_path(end: str) -> None:
    order = "825c73c6-9624-5263-ae7d-10ab655ee73f"
    found = ORDER.search(f"/api/orders/{order}{end}")
    assert found is not None
    assert order == found[1]


@pytest.mark.parametrize("path", ["/api/orders", "/api/orders/x", f"/api/orders/{'0' * 36}"])
def test_no_other_path_is_taken_for_an_orders(path: str) -> None:
    assert ORDER.search(path) is None
