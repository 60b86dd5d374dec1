"""The movies service's decisions: number a movie's views, and say what each of them led to.

The number is the view's place among the movie's views as the log has them, so whoever numbers them,
and whenever, gives a view the same one. What a view leads to follows from the view and its number.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.decision import Decision
from app.events import (
    Event,
    EventData,
    MovieMilestoneReached,
    MovieViewed,
    MovieViewTracked,
    UserActed,
)

SOURCE = "movies"
# A movie's milestones: 1, 10, 100, 1000, … views.
MILESTONE_BASE = 10


@dataclass(frozen=True, slots=True)
class View:
    """A view as it was first heard.

    Attributes:
        number: its place among the movie's views, from 1.
        at: when it was accepted, as an event's time.
    """

    view_id: str
    movie_id: str
    user_id: str
    viewed_at: datetime
    number: int
    at: str


@dataclass(frozen=True, slots=True)
class Milestone:
    """A number of views that a movie has reached, and with which view."""

    views: int
    view_id: str
    viewed_at: datetime


@dataclass(frozen=True, slots=True)
class Movie:
    """A movie as its views tell it; `views` is the number of the last view that was counted."""

    movie_id: str
    views: int = 0
    last_viewed_at: datetime | None = None
    milestones: tuple[Milestone, ...] = ()


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is known of a view and of its movie."""

    view: View
    movie: Movie


def is_milestone(number: int) -> bool:
    """Whether the number is 1, or ten times a milestone."""
    while number >= MILESTONE_BASE and number % MILESTONE_BASE == 0:
        number //= MILESTONE_BASE
    return number == 1


def track(movie: Movie | None, known: View | None, event: Event) -> Decision[Tracking]:
    """Number and count a view.

    A view that is known keeps its number, at whatever offset it comes again, and is counted only if
    that has not been done: its number is above what the movie has come to. Its events are the same
    whenever it is asked.

    Raises:
        ValueError: the view is known as one of another movie.
    """
    assert isinstance(event.data, MovieViewed)
    movie = movie or Movie(event.data.movie_id)
    view = known or _view(event.data, movie.views + 1, event.time)
    if view.movie_id != movie.movie_id:
        raise ValueError(f"view {view.view_id} is one of movie {view.movie_id!r}")
    counted = movie if view.number <= movie.views else _counted(movie, view)
    return Decision(Tracking(view, counted), split(event, view))


def split(event: Event, view: View) -> tuple[Event, ...]:
    """The events that one view fans out to: each for those who hear its topic.

    All words are those of the view as it was first heard, so that one posted twice says the same
    twice.
    """
    said: list[EventData] = [
        UserActed.model_construct(
            view_id=view.view_id,
            user_id=view.user_id,
            action="VIEWED_MOVIE",
            movie_id=view.movie_id,
            at=view.viewed_at,
        ),
        MovieViewTracked.model_construct(
            view_id=view.view_id,
            movie_id=view.movie_id,
            user_id=view.user_id,
            viewed_at=view.viewed_at,
            number=view.number,
        ),
    ]
    if is_milestone(view.number):
        said.append(
            MovieMilestoneReached.model_construct(
                view_id=view.view_id,
                movie_id=view.movie_id,
                milestone=view.number,
                viewed_at=view.viewed_at,
            )
        )
    return tuple(event.follow(data, source=SOURCE, at=view.at) for data in said)


def _view(viewed: MovieViewed, number: int, at: str) -> View:
    return View(viewed.view_id, viewed.movie_id, viewed.user_id, viewed.viewed_at, number, at)


def _counted(movie: Movie, view: View) -> Movie:
    last = movie.last_viewed_at
    reached = Milestone(view.number, view.view_id, view.viewed_at)
    return replace(
        movie,
        views=view.number,
        last_viewed_at=view.viewed_at if last is None else max(last, view.viewed_at),
        milestones=(*movie.milestones, reached) if is_milestone(view.number) else movie.milestones,
    )
