import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.headers import HOP_BY_HOP, end_to_end, to_client, to_worker
from gateway.tracing import Trace

pytestmark = pytest.mark.timeout(60)

TRACE = Trace("abc", f"00-{'a' * 32}-{'b' * 16}-01", continued=False)

tokens = st.text(st.sampled_from("abcdefgXYZ019-_."), min_size=1, max_size=12).map("X-{}".format)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
pairs = st.lists(st.tuples(tokens, values), max_size=12)


def lowered(headers: CIMultiDict[str]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers.items()]


@given(pairs)
def test_headers_that_are_not_of_the_connection_pass_in_order_and_with_repetitions(
    given_pairs: list[tuple[str, str]],
) -> None:
    assert given_pairs == list(end_to_end(CIMultiDict(given_pairs)).items())


@given(pairs, st.sampled_from(HOP_BY_HOP), values, st.sampled_from((str.lower, str.upper, str)))
def test_no_hop_by_hop_header_passes_however_it_is_written(
    others: list[tuple[str, str]], name: str, value: str, written: type[str]
) -> None:
    kept = end_to_end(CIMultiDict([(written(name), value), *others, (written(name), value)]))
    assert name not in kept


@given(pairs, st.data())
def test_exactly_the_headers_that_connection_names_are_taken_away(
    given_pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    names = sorted({name.lower() for name, _ in given_pairs})
    named = data.draw(st.lists(st.sampled_from(names)) if names else st.just([]))
    listed = data.draw(st.sampled_from((",", ", ", " ,\t"))).join(["close", *named])
    kept = end_to_end(CIMultiDict([*given_pairs, ("Connection", listed)]))
    expected = [(name.lower(), value) for name, value in given_pairs if name.lower() not in named]
    assert expected == lowered(kept)


@given(pairs, st.lists(tokens, min_size=2, max_size=4))
def test_every_connection_header_counts(
    given_pairs: list[tuple[str, str]], named: list[str]
) -> None:
    headers = CIMultiDict([*given_pairs, *(("connection", name) for name in named)])
    away = {name.lower() for name in named}
    assert not away & {name.lower() for name in end_to_end(headers)}


@given(pairs)
def test_filtering_twice_takes_no_more_away_than_once(given_pairs: list[tuple[str, str]]) -> None:
    once = end_to_end(CIMultiDict([*given_pairs, ("Connection", "X-a, close"), ("TE", "trailers")]))
    assert once == end_to_end(once)


def test_what_the_worker_is_told_of_the_client_can_not_be_taken_away_by_connection() -> None:
    request = make_mocked_request(
        "GET",
        "/api/orders",
        headers={
            "Host": "shop.example",
            "Connection": "X-Forwarded-For, X-Forwarded-Prefix, X-Trace-Id, Host",
            "X-Forwarded-For": "6.6.6.6",
        },
    )
    headers = to_worker(request, TRACE, prefix="/api", gateway="gateway-1")
    assert "6.6.6.6" not in headers["X-Forwarded-For"]
    assert "shop.example" == headers["X-Forwarded-Host"]
    assert "/api" == headers["X-Forwarded-Prefix"]
    assert "abc" == headers["X-Trace-Id"]


def test_a_prefix_that_a_client_claims_is_overwritten() -> None:
    request = make_mocked_request("GET", "/api/x", headers={"X-Forwarded-Prefix": "/evil"})
    headers = to_worker(request, TRACE, prefix="/api", gateway="gateway-1")
    assert ["/api"] == headers.getall("X-Forwarded-Prefix")


def test_a_tracestate_without_its_traceparent_goes_no_further() -> None:
    request = make_mocked_request("GET", "/api/x", headers={"tracestate": "vendor=1"})
    headers = to_worker(request, TRACE, prefix="/api", gateway="gateway-1")
    assert "tracestate" not in headers


def test_the_workers_own_name_is_kept_beside_the_gateways() -> None:
    answer = CIMultiDictProxy(CIMultiDict({"X-Instance-Id": "worker-1", "ETag": '"1"'}))
    assert [("X-Worker-Id", "worker-1"), ("ETag", '"1"')] == sorted(
        to_client(answer).items(), reverse=True
    )
