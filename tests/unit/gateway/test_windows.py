"""The sliding window, and whom it counts."""

import bisect

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.quota import Quota, parse_networks, parse_quota
from gateway.limiting import client_of
from gateway.windows import REMEMBERED_MAX, LocalWindows, Window

QUOTAS = st.sampled_from([Quota(1, 1), Quota(5, 10), Quota(100, 2), Quota(101, 1), Quota(300, 7)])
# Pauses between requests: mostly none, so that a burst meets the limit, and some near the window.
PAUSES = st.lists(
    st.one_of(st.just(0), st.integers(0, 30), st.integers(80, 1100), st.integers(6900, 11_000)),
    max_size=700,
)


def admitted_at(window: Window, pauses: list[int]) -> tuple[list[int], list[int]]:
    """When requests were admitted, and when refused."""
    now = 1_790_000_000_123
    windows = LocalWindows(lambda: now)
    admitted, refused = [], []
    for pause in pauses:
        now += pause
        verdict = windows.check([(window, "ann")])
        (admitted if verdict.admitted else refused).append(now)
    return admitted, refused


@given(QUOTAS, PAUSES)
@example(Quota(101, 1), [0] * 90 + [99] + [0] * 90 + [900] + [0] * 300)
def test_a_window_never_admits_more_than_its_quota_in_any_stretch_of_its_length(
    quota: Quota, pauses: list[int]
) -> None:
    admitted, _ = admitted_at(Window.of("w", quota), pauses)
    length = quota.seconds * 1000
    for i, at in enumerate(admitted):
        assert bisect.bisect_left(admitted, at + length) - i <= quota.requests


@given(QUOTAS, PAUSES)
def test_a_window_refuses_only_who_has_had_the_quota_in_its_length_and_a_tenth(
    quota: Quota, pauses: list[int]
) -> None:
    window = Window.of("w", quota)
    admitted, refused = admitted_at(window, pauses)
    reach = (window.earlier + 1) * window.width
    assert reach <= quota.seconds * 1100
    for at in refused:
        recent = bisect.bisect_right(admitted, at) - bisect.bisect_right(admitted, at - reach)
        assert recent == quota.requests


def test_a_small_window_opens_to_the_millisecond() -> None:
    window = Window.of("limited", Quota(2, 10))
    assert ([1_790_000_000_123, 1_790_000_000_123, 1_790_000_010_123], 2) == (
        (found := admitted_at(window, [0, 0, 1, 9998, 1]))[0],
        len(found[1]),
    )


def test_a_request_that_one_window_refuses_is_not_charged_to_the_other() -> None:
    client, user = Window.of("client", Quota(5, 10)), Window.of("user", Quota(1, 10))
    windows = LocalWindows(lambda: 0)
    both = [(client, "10.0.0.1"), (user, "ann")]
    assert [True, False, False] == [windows.check(both).admitted for _ in range(3)]
    assert [2, 3, 4, 5] == [windows.check([(client, "10.0.0.1")]).counts[0].used for _ in range(4)]


def test_a_process_remembers_a_bounded_number_of_clients() -> None:
    windows, window = LocalWindows(lambda: 0), Window.of("client", Quota(5, 10))
    for i in range(REMEMBERED_MAX + 10):
        windows.check([(window, str(i))])
    assert REMEMBERED_MAX == len(windows._held)


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("2000/10 s", Quota(2000, 10)),
        (" 5 / 10s ", Quota(5, 10)),
        ("100/min", Quota(100, 60)),
        ("1000/1 h", Quota(1000, 3600)),
        ("off", None),
        ("OFF", None),
    ],
)
def test_a_quota_is_read_as_it_is_written(text: str, quota: Quota | None) -> None:
    assert quota == parse_quota(text)


@pytest.mark.parametrize("text", ["", "5", "5/0 s", "0/1 s", "-5/10 s", "5/2 d", "1.5/s", "9/99 h"])
def test_what_is_no_quota_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be (`off`, or|at least 1)"):
        parse_quota(text)


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        # What a client made up stands left of what the trusted proxy saw.
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 10.1.2.3, 127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", "10.1.2.3, 127.0.0.1", "10.1.2.3"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("127.0.0.1", "nonsense, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("unknown", "198.51.100.1", "unknown"),
        ("127.0.0.1", "127.0.0.1," * 1000, "127.0.0.1"),
    ],
)
def test_a_client_is_the_last_address_that_no_trusted_proxy_has(
    remote: str, forwarded: str, client: str
) -> None:
    trusted = parse_networks("127.0.0.0/8, ::1, 10.0.0.0/8")
    assert client == client_of(remote, forwarded, trusted)
