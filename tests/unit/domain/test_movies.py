"""One view fans out: what it leads to follows from the view and its number."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.movies import Milestone, Movie, is_milestone, split, track
from app.events import MovieMilestoneReached, MovieViewTracked, UserActed
from tests.builders import START, view_id, viewed

LATER = START + timedelta(minutes=5)


def test_a_view_leads_to_what_its_user_did_and_to_what_became_of_its_movie() -> None:
    event = viewed("alien", number=7, user="bob")
    decided = track(Movie("alien", views=41), None, event)

    acted, tracked = decided.events
    assert UserActed(
        view_id=view_id(7), user_id="bob", action="VIEWED_MOVIE", movie_id="alien", at=START
    ) == (acted.data)
    assert MovieViewTracked(
        view_id=view_id(7), movie_id="alien", user_id="bob", viewed_at=START, number=42
    ) == (tracked.data)
    for said in decided.events:
        assert (view_id(7), event.id, event.time) == (
            said.correlation_id,
            said.causation_id,
            said.time,
        )
        assert "orderflow/movies" == said.source


def test_the_view_that_reaches_a_milestone_says_so_and_the_movie_keeps_which_it_was() -> None:
    decided = track(Movie("alien", views=99), None, viewed("alien", number=7))

    *_, reached = decided.events
    assert MovieMilestoneReached(
        view_id=view_id(7), movie_id="alien", milestone=100, viewed_at=START
    ) == (reached.data)
    assert (Milestone(100, view_id(7), START),) == decided.state.movie.milestones


@pytest.mark.parametrize("number", [1, 10, 100, 1000, 10**9])
def test_a_power_of_ten_is_a_milestone(number: int) -> None:
    assert is_milestone(number)


@pytest.mark.parametrize("number", [2, 5, 11, 20, 99, 101, 110, 200, 1001, 5000, 10**9 + 1])
def test_nothing_else_is(number: int) -> None:
    assert not is_milestone(number)


def test_the_first_view_makes_the_movie() -> None:
    movie = track(None, None, viewed("alien", number=7)).state.movie

    assert Movie("alien", 1, START, (Milestone(1, view_id(7), START),)) == movie


def test_the_last_view_is_the_latest_whatever_comes_last() -> None:
    movie = track(None, None, viewed(number=1, at=LATER)).state.movie
    movie = track(movie, None, viewed(number=2, at=START)).state.movie

    assert (2, LATER) == (movie.views, movie.last_viewed_at)


def test_a_view_that_was_counted_changes_nothing_and_says_the_same() -> None:
    event = viewed()
    first = track(None, None, event)
    movie = replace(first.state.movie, views=5)

    again = track(movie, first.state.view, event)

    assert movie is again.state.movie
    assert first.events == again.events


def test_a_view_that_was_numbered_and_not_counted_is_counted_under_its_number() -> None:
    event = viewed(number=7)
    first = track(Movie("alien", views=9), None, event)

    again = track(Movie("alien", views=9), first.state.view, event)

    assert first == again
    assert 10 == again.state.movie.views


def test_a_view_posted_again_later_is_told_in_the_words_of_the_first() -> None:
    first = track(None, None, viewed(number=7, at=START))
    again = track(first.state.movie, first.state.view, viewed(number=7, at=LATER))

    assert first.events == again.events
    assert first.state == again.state


def test_a_view_of_one_movie_is_none_of_another() -> None:
    known = track(None, None, viewed("alien", number=7)).state.view

    with pytest.raises(ValueError, match="one of movie 'alien'"):
        track(None, known, viewed("brazil", number=7))


def test_splitting_needs_nothing_but_the_view() -> None:
    event = viewed(number=7)
    decided = track(None, None, event)

    assert decided.events == split(event, decided.state.view)
