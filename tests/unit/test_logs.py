"""Sparse logs."""

import logging

from app.logs import Sparse


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
