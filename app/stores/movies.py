"""The documents of the movies service: one a movie, and one a view.

A view's document keeps the number that it was given, so that a view which comes again, after a
crash or at a later offset, is known and is not counted twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.movies import Milestone, Movie, View
from app.stores.mongo import Database, Document, DocumentStore, translated
from app.stores.repositories import MOVIE_VIEWS, MOVIES


def movies(database: Database) -> DocumentStore[Movie]:
    """The movies, by their ids."""
    return DocumentStore(database[MOVIES], encode=encode_movie, decode=decode_movie)


def views(database: Database) -> DocumentStore[View]:
    """The views, by their ids; none is ever changed."""
    return DocumentStore(database[MOVIE_VIEWS], encode=encode_view, decode=decode_view)


async def movies_page(database: Database, *, after: str | None, limit: int) -> Sequence[Movie]:
    """At most `limit` movies by id, those after the id `after`.

    Raises:
        TransientStoreError: the server could not be reached or did not answer in time.
    """
    query: Document = {} if after is None else {"_id": {"$gt": after}}
    with translated():
        cursor = database[MOVIES].find(query).sort([("_id", 1)]).limit(limit)
        return [decode_movie(document) async for document in cursor]


def encode_movie(movie: Movie) -> Document:
    """Milestones as documents, the first one first."""
    return {
        "views": movie.views,
        "lastViewedAt": movie.last_viewed_at,
        "milestones": [
            {"views": one.views, "viewId": one.view_id, "viewedAt": one.viewed_at}
            for one in movie.milestones
        ],
    }


def decode_movie(document: Mapping[str, Any]) -> Movie:
    """The movie of a document."""
    return Movie(
        movie_id=document["_id"],
        views=document["views"],
        last_viewed_at=document["lastViewedAt"],
        milestones=tuple(
            Milestone(one["views"], one["viewId"], one["viewedAt"])
            for one in document["milestones"]
        ),
    )


def encode_view(view: View) -> Document:
    """All of it."""
    return {
        "movieId": view.movie_id,
        "userId": view.user_id,
        "viewedAt": view.viewed_at,
        "number": view.number,
        "at": view.at,
    }


def decode_view(document: Mapping[str, Any]) -> View:
    """The view of a document."""
    return View(
        view_id=document["_id"],
        movie_id=document["movieId"],
        user_id=document["userId"],
        viewed_at=document["viewedAt"],
        number=document["number"],
        at=document["at"],
    )
