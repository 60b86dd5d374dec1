"""Answers about users and movies."""

from pydantic import Field

from app.web.schemas.values import AnswerModel, Count, Cursor, OrderId, Time


class User(AnswerModel):
    """A user."""

    user_id: str
    name: str
    email: str
    created_at: Time


class UserPage(AnswerModel):
    """Users, by id."""

    users: list[User]
    next_cursor: Cursor


class AcceptedView(AnswerModel):
    """A view of a movie that was taken: it is in the log."""

    movie_id: str
    user_id: str
    view_id: OrderId
    viewed_at: Time


class Milestone(AnswerModel):
    """The view by which a movie came to so many."""

    views: int = Field(ge=1)
    view_id: OrderId
    viewed_at: Time


class Movie(AnswerModel):
    """A movie, as far as its views are counted."""

    movie_id: str
    views: Count
    last_viewed_at: Time | None
    milestones: list[Milestone]


class MoviePage(AnswerModel):
    """Movies, by id."""

    movies: list[Movie]
    next_cursor: Cursor
