"""What is made of the answers during a take-over, and how it is told."""

from collections.abc import Sequence

import pytest

from benchmarks.results import Result
from benchmarks.takeover import report
from benchmarks.takeover.figures import Look, Sums, Takeover, by_day, reference

BEFORE, AFTER = Sums(10, 10, 1000), Sums(12, 12, 1300)
BETWEEN = Sums(11, 11, 1100)


def look(at: float, covered: int, sums: Sums = BEFORE) -> Look:
    return Look(at, covered, 6, sums)


def takeover(*looks: Look, given: float | None = 7.0) -> Takeover:
    return Takeover(looks, given, BEFORE, AFTER, read_back=1234)


KILLED = (
    look(1.0, 3, Sums(5, 5, 500)),
    look(2.0, 0, Sums()),
    look(4.0, 0, Sums()),
    look(7.0, 3, Sums(5, 5, 500)),
    look(8.0, 6),
    look(9.0, 6, BETWEEN),
    look(9.5, 6, AFTER),
)


def test_an_answer_is_read_with_its_partitions_and_its_revenue_in_minor_units():
    document = {
        "orders": 10,
        "confirmed": 9,
        "revenue": 1234567.29,
        "partitions": {"covered": 3, "total": 6},
        "partial": True,
    }

    assert Look(2.5, 3, 6, Sums(10, 9, 123_456_729)) == Look.of(2.5, document)
    assert not Look.of(2.5, document).whole


@pytest.mark.parametrize(
    "problem", [{}, {"status": 503, "partitions": {"covered": 0, "total": 6}}, {"status": 503}]
)
def test_a_problem_is_an_answer_for_no_partition(problem: dict[str, object]):
    found = Look.of(1.0, problem)

    assert (0, False) == (found.covered, found.whole)


def test_a_takeover_is_over_when_answers_are_whole_and_stay_so():
    assert 8.0 == takeover(*KILLED).whole
    assert 4.0 == takeover(look(1.0, 6), look(2.0, 6), look(3.0, 3), look(4.0, 6)).whole
    assert takeover(look(1.0, 6), look(2.0, 3)).whole is None
    assert takeover().whole is None


def test_the_time_without_an_answer_is_from_the_one_before_to_the_one_after():
    found = takeover(*KILLED)

    assert 8.0 == found.short_seconds  # from the start
    assert 6.0 == found.silent_seconds  # 1.0 to 7.0


def test_a_worker_that_goes_in_order_may_leave_no_gap():
    found = takeover(look(1.0, 6), look(2.0, 6, AFTER))

    assert (0.0, 0.0, 1.0) == (found.short_seconds, found.silent_seconds, found.whole)


def test_new_orders_are_counted_when_a_whole_answer_has_just_them():
    assert 9.5 == takeover(*KILLED).counted
    assert takeover(*KILLED[:-1]).counted is None
    assert takeover(look(1.0, 3, AFTER)).counted is None


@pytest.mark.parametrize(
    "wrong",
    [
        *(Sums(9, 10, 1000), Sums(10, 9, 1000), Sums(10, 10, 999)),
        *(Sums(13, 12, 1300), Sums(12, 13, 1300), Sums(12, 12, 1301)),
    ],
)
def test_one_whole_answer_that_lacks_an_order_or_has_one_twice_is_enough_to_be_wrong(wrong: Sums):
    assert takeover(*KILLED).right
    assert not takeover(look(7.5, 6, wrong), *KILLED).right
    assert takeover(look(7.5, 5, wrong), *KILLED).right


def test_a_takeover_that_never_has_all_orders_is_not_right():
    assert not takeover(*KILLED[:-1]).right
    assert not takeover().right


def test_the_reference_adds_up_in_all_and_by_day():
    totals = {"0|UK": 7, "82800|UK": 1, "86400|UK": 2, "0|Spain": 4}

    assert Sums(5, 5, 14) == reference(totals, 5)
    assert {"0|UK": 8, "86400|UK": 2, "0|Spain": 4} == by_day(totals)


def rows(found: Takeover, *, equal: bool = True) -> Sequence[str]:
    result = Result("takeover, kill -9", "orderflow", 12, 9.5, 3.0, 160.4, equal)
    return report.explain([report.Row("kill -9", found, result)], 10.0).splitlines()


def test_the_table_tells_the_rebalance_and_the_recovery_apart():
    header, line, row, *text = rows(takeover(*KILLED))

    assert (
        "| 10 | `kill -9` | orderflow | 7.0 | 8.0 | 1.0 | 8.0 | 6.0 | 9.5 | 1,234 | 160 | yes |"
        == (row)
    )
    assert 1 == len({each.count("|") for each in (header, line, row)})
    assert "10 s ago (`SESSION_TIMEOUT_SECONDS`)" in " ".join(text)


def test_a_takeover_that_did_not_come_to_its_end_shows_what_it_did_not_reach():
    row = rows(takeover(*KILLED[:4], given=None), equal=False)[2]

    assert "| 10 | `kill -9` | orderflow | - | - | - | 7.0 | 6.0 | - | 1,234 | 160 | NO |" == row
