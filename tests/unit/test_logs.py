"""Sparse logs."""

import logging

from app.logs import Allowance, Sparse


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("away", logging.WARNING, __file__, 1, message, args, None)


def test_the_same_line_is_shown_once_in_a_while_and_then_says_how_many_there_were() -> None:
    now = 0.0
    sparse = Sparse(seconds=10, clock=lambda: now)
    first = [sparse.filter(record("no answer from %s", n)) for n in range(5)]
    assert [True, False, False, False, False] == first
    now = 11.0
    shown = record("no answer from %s", 7)
    assert sparse.filter(shown)
    assert "no answer from 7 (4 more like it since the last)" == shown.getMessage()


def test_other_lines_are_not_held_back() -> None:
    sparse = Sparse(seconds=10, clock=lambda: 0.0)
    assert sparse.filter(record("no answer"))
    assert sparse.filter(record("an answer"))


def test_a_line_that_comes_alone_says_nothing_of_others() -> None:
    now = 0.0
    sparse = Sparse(seconds=10, clock=lambda: now)
    assert sparse.filter(record("gone"))
    now = 20.0
    again = record("gone")
    assert sparse.filter(again)
    assert "gone" == again.getMessage()


def test_so_many_lines_are_allowed_a_second_and_ten_times_as_many_after_a_pause() -> None:
    now = 0.0
    allowance = Allowance(2, clock=lambda: now)
    assert [15, 5, 0] == [allowance.take(n) for n in (15, 15, 15)]
    now = 1.5
    assert [1, 1, 1, 0] == [allowance.take() for _ in range(4)]
    now = 1000.0
    assert 20 == allowance.take(100)


def test_no_line_is_allowed_where_none_is_wanted() -> None:
    now = 0.0
    allowance = Allowance(0, clock=lambda: now)
    now = 1000.0
    assert 0 == allowance.take()
