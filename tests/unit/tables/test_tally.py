"""Tallies add up, and come back from their bytes as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tables import keys
from app.tables.keys import By
from app.tables.ledger import NEVER, PAGE_RECORDS, Progress, page, paged
from app.tables.tally import Summary, Sums, Views

NUMBERS = st.integers(-(2**62), 2**62)
USERS = st.lists(st.text(min_size=1, max_size=8), max_size=30)


def summary(users: list[str], seconds: list[float]) -> Summary:
    made = Summary(Sums(7, 1, 2, 3, 4, 5), {"TIMEOUT": 2}, {"60": 1})
    made.note(users, seconds)
    return made


@given(st.tuples(st.integers(0, 2**63), NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_sums_come_back_from_their_bytes(numbers: tuple[int, ...]) -> None:
    sums = Sums(*numbers)
    assert sums == Sums.decode(sums.encode())


@given(USERS, st.lists(st.floats(0, 1e6), max_size=30))
def test_a_summary_comes_back_from_its_bytes(users: list[str], seconds: list[float]) -> None:
    made = summary(users, seconds)
    back = Summary.decode(made.encode())
    assert (made.sums, made.reasons, made.late) == (back.sums, back.reasons, back.late)
    assert made.customers.get_estimate() == back.customers.get_estimate()
    assert made.seconds.get_total_weight() == back.seconds.get_total_weight()


@given(USERS, USERS)
def test_a_user_of_both_halves_is_one_user(one: list[str], other: list[str]) -> None:
    whole, half = summary(one, [1.0]), summary(other, [2.0])
    whole.add(half)
    assert len({*one, *other}) == round(whole.customers.get_estimate())
    assert 2 == whole.seconds.get_total_weight()
    assert {"TIMEOUT": 4} == whole.reasons
    assert 10 == whole.sums.units


def test_the_estimate_of_many_customers_is_within_three_standard_errors() -> None:
    made = summary([f"user {n}" for n in range(50_000)], [])
    assert pytest.approx(50_000, rel=3 * 0.016) == made.customers.get_estimate()


def test_quantiles_of_durations_are_close() -> None:
    made = summary([], [n / 100 for n in range(10_000)])
    back = Summary.decode(made.encode())
    assert pytest.approx(50, abs=2) == back.seconds.get_quantile(0.5)
    assert pytest.approx(99, abs=0.2) == back.seconds.get_quantile(0.99)


@given(st.integers(0, 2**60), st.integers(0, 2**60), USERS)
def test_views_come_back_from_their_bytes_and_add_up(
    views: int, late: int, users: list[str]
) -> None:
    made = Views(9, views, late)
    for user in users:
        made.users.update(user)
    back = Views.decode(made.encode())
    back.add(made)
    assert (9, 2 * views, 2 * late) == (back.version, back.views, back.late)
    assert len(set(users)) == round(back.users.get_estimate())


@given(st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=20))
def test_windows_lie_in_the_order_of_their_starts(starts: list[int]) -> None:
    ordered = sorted(keys.window(60, By.PRODUCT, start, "x") for start in starts)
    assert [(start, "x") for start in sorted(starts)] == [keys.parse_window(k) for k in ordered]


def test_windows_of_another_size_or_dimension_lie_apart() -> None:
    low, high = keys.window(60, By.COUNTRY, -(2**40)), keys.window(60, By.COUNTRY, 2**40)
    for other in (keys.window(3600, By.COUNTRY, 0), keys.window(60, By.PRODUCT, 0), keys.TOTALS):
        assert not low <= other <= high


@given(
    st.integers(0, 2**40),
    st.lists(
        st.tuples(
            st.integers(0, PAGE_RECORDS - 1),
            st.binary(min_size=16, max_size=16),
            st.one_of(NUMBERS, st.just(NEVER)),
        ),
        max_size=9,
    ),
)
def test_a_page_of_the_ledger_comes_back_from_its_bytes(
    number: int, things: list[tuple[int, bytes, int]]
) -> None:
    seen = [(number * PAGE_RECORDS + place, ident, at) for place, ident, at in things]
    assert seen == list(paged(number, page(12, seen)))


def test_progress_comes_back_from_its_bytes() -> None:
    for progress in (Progress(), Progress(2**40, -5, 7, NEVER)):
        assert progress == Progress.decode(progress.encode())
